/** The anywidget entry. Traits: `task_ids`, `states` and `previews`, the latter two only where no server serves. */

import { Clock } from "./clock.js";
import { sharedConnection } from "./connection.js";
import { isRecord } from "./model.js";
import { JupyterServer } from "./server.js";
import { TaskStore } from "./store.js";
import { tasksView } from "./views/tasks.js";

export interface WidgetModel {
  get(trait: string): unknown;
  on(event: string, callback: () => void): void;
  off(event: string, callback: () => void): void;
}

interface RenderProps {
  readonly model: WidgetModel;
  readonly el: HTMLElement;
  /** anywidget 0.11 and newer; the returned function serves the older ones. */
  readonly signal?: AbortSignal;
}

function render({ model, el, signal }: RenderProps): () => void {
  const life = new AbortController();
  signal?.addEventListener("abort", () => life.abort(), { once: true });
  const server = JupyterServer.ofPage();
  const clock = new Clock();
  const store = new TaskStore(clock);
  let shown = new AbortController();

  const show = () => {
    const last = shown;
    shown = new AbortController();
    const ids = strings(model.get("task_ids"));
    const scene = { clock, link: store.link, server, until: shown.signal };
    const view = tasksView(store.keep(ids), scene);
    if (server !== null) sharedConnection(server).subscribe(ids, store, shown.signal);
    store.fromKernel(model.get("states"));
    takePreviews(model.get("previews"), store);
    el.replaceChildren(view);
    // Last, so that tasks which stay are never without a subscriber and the socket stays open.
    last.abort();
  };
  const on = (event: string, callback: () => void) => {
    model.on(event, callback);
    life.signal.addEventListener("abort", () => model.off(event, callback), { once: true });
  };

  on("change:task_ids", show);
  on("change:states", () => store.fromKernel(model.get("states")));
  on("change:previews", () => takePreviews(model.get("previews"), store));
  life.signal.addEventListener("abort", () => shown.abort(), { once: true });
  show();
  return () => life.abort();
}

/** JPEG bytes per task id, as a view or a bare buffer, depending on the front end. */
function takePreviews(previews: unknown, store: TaskStore): void {
  if (!isRecord(previews)) return;
  for (const [taskId, bytes] of Object.entries(previews)) {
    const copy = copied(bytes);
    if (copy !== null) store.pictureFromKernel(taskId, new Blob([copy], { type: "image/jpeg" }));
  }
}

function copied(bytes: unknown): ArrayBuffer | null {
  if (bytes instanceof ArrayBuffer) return bytes.slice(0);
  if (!ArrayBuffer.isView(bytes)) return null;
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return copy.buffer;
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

export default { render };
