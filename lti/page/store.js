// Leave a value that proves this browser in the platform's storage, then go on to the
// platform's login, with or without its answer.
(() => {
  const go = document.getElementById("go");
  const { frame, origin, key, value } = go.dataset;
  let gone = false;
  const leave = () => {
    if (gone) return;
    gone = true;
    location.replace(go.href);
  };
  const host = window.parent !== window ? window.parent : window.opener;
  if (!host) return leave();
  let store = null;
  try {
    store = frame === "_parent" ? host : host.frames[frame];
  } catch {
    // The platform's frame is gone: the cookie may still do.
  }
  if (!store) return leave();
  const id = crypto.randomUUID();
  window.addEventListener("message", (event) => {
    const data = event.data;
    if (event.origin !== origin || !data || data.subject !== "lti.put_data.response" || data.message_id !== id) return;
    leave();
  });
  store.postMessage({ subject: "lti.put_data", message_id: id, key, value }, origin);
  setTimeout(leave, 2000);
})();
