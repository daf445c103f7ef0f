// The live dashboard.
import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "../style/dashboard.css";
import { App } from "./app";
import { readConfig, type Config } from "./config";
import { StoreContext } from "./context";
import { Store } from "./store";

const root = document.getElementById("app");
if (root) {
  const store = new Store(readConfig<Config>());
  root.textContent = "";
  render(
    <StoreContext.Provider value={store}>
      <App />
    </StoreContext.Provider>,
    root,
  );
  store.start();
}
