/** The anywidget entry. Traits: `task_ids`, `states` and `previews`, the latter two only where no server serves. */

import { LiveTasks, strings } from "./live-tasks.js";
import { isRecord } from "./payload.js";
import type { TaskStore } from "./store.js";

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
  const tasks = new LiveTasks(el);
  const { store } = tasks;
  const show = () => {
    tasks.show(strings(model.get("task_ids")));
    store.fromKernel(model.get("states"));
    takePreviews(model.get("previews"), store);
  };
  const on = (event: string, callback: () => void) => {
    model.on(event, callback);
    life.signal.addEventListener("abort", () => model.off(event, callback), { once: true });
  };

  on("change:task_ids", show);
  on("change:states", () => store.fromKernel(model.get("states")));
  on("change:previews", () => takePreviews(model.get("previews"), store));
  life.signal.addEventListener("abort", () => tasks.dispose(), { once: true });
  show();
  return () => life.abort();
}

/** Per task id its media type and its bytes, as a view or a bare buffer, depending on the front end. */
function takePreviews(previews: unknown, store: TaskStore): void {
  if (!isRecord(previews)) return;
  for (const [taskId, preview] of Object.entries(previews)) {
    if (!isRecord(preview) || typeof preview.media_type !== "string") continue;
    const copy = copied(preview.data);
    if (copy !== null) store.pictureFromKernel(taskId, new Blob([copy], { type: preview.media_type }));
  }
}

function copied(bytes: unknown): ArrayBuffer | null {
  if (bytes instanceof ArrayBuffer) return bytes.slice(0);
  if (!ArrayBuffer.isView(bytes)) return null;
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return copy.buffer;
}

export default { render };
