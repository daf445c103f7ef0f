// What several of the server's pages want of a script.

/** Makes the print button work. */
export function printing(): void {
  document.getElementById("print")?.addEventListener("click", () => window.print());
}

/** An element with a class and words. */
export function make<K extends keyof HTMLElementTagNameMap>(name: K, className: string, text = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}
