// The protocol between a component's frame and Streamlit (components v1).
function post(type, rest) {
  window.parent.postMessage({ isStreamlitMessage: true, type: `streamlit:${type}`, ...rest }, "*");
}

let last = Promise.resolve();

export function onRender(show) {
  window.addEventListener("message", (event) => {
    if (event.source !== window.parent || event.data?.type !== "streamlit:render") return;
    const { args, theme } = event.data;
    if (theme) {
      for (const name of ["primaryColor", "backgroundColor", "secondaryBackgroundColor", "textColor"]) {
        document.documentElement.style.setProperty(`--${name}`, theme[name]);
      }
      document.documentElement.style.colorScheme = theme.base === "dark" ? "dark" : "light";
    }
    last = last.then(() => show(args)).catch((error) => {
      document.getElementById("fault").textContent = args.texts.fault;
      document.getElementById("fault").hidden = false;
      console.error(error);
      setHeight();
    });
  });
}

export const ready = () => post("componentReady", { apiVersion: 1 });
export const send = (value) => post("setComponentValue", { value, dataType: "json" });
export const setHeight = () => post("setFrameHeight", { height: document.querySelector("main:not([hidden])").offsetHeight + 2 });
