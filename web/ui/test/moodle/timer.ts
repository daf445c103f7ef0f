// A quiz timer that behaves as Moodle's module.js does: a loop of its own at each update(), a post when the time is up.
export function makeTimer(left: number) {
  const timer = {
    Y: {} as unknown,
    endtime: Date.now() + left,
    timeoutid: null as ReturnType<typeof setTimeout> | null,
    threshold: 3000,
    ticks: 0,
    posts: 0,
    update() {
      timer.ticks++;
      if (Math.floor((timer.endtime - Date.now()) / 1000) < 0) {
        if (timer.timeoutid) clearTimeout(timer.timeoutid);
        timer.posts++;
        return;
      }
      timer.timeoutid = setTimeout(timer.update, 100);
    },
    updateEndTime(timeleft: number) {
      const end = Date.now() + timeleft * 1000;
      if (Math.abs(end - timer.endtime) > timer.threshold) {
        timer.endtime = end;
        timer.update();
      }
    },
  };
  timer.update();
  return timer;
}

export const page = (clock = true) => {
  document.body.innerHTML = `${clock ? '<div id="quiz-timer-wrapper"><span id="quiz-time-left"></span></div>' : ""}
    <form id="responseform" action="/mod/quiz/processattempt.php" method="post">
      <input type="hidden" name="attempt" value="7"><input type="hidden" name="sesskey" value="key">
      <input type="text" name="q1:1_answer" value="42"><input type="checkbox" name="q1:2_a" value="1">
      <input type="submit" name="next" value="Next page"></form>`;
};
