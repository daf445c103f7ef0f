// While simulated students are being added, asks how it goes.
const line = document.getElementById("sim");
const button = document.getElementById("add");

const ask = async () => {
  let s;
  try {
    s = await (await fetch("/simulate")).json();
  } catch {
    line.textContent = "The demo LMS does not answer. Is it still running?";
    return;
  }
  if (s.running) {
    line.textContent = "Adding students…";
    setTimeout(ask, 1000);
    return;
  }
  button.disabled = false;
  line.classList.toggle("bad", Boolean(s.error));
  line.textContent = s.error || `${s.added} simulated students were added since the demo started.`;
};

if (line.dataset.running === "true") {
  void ask();
}
