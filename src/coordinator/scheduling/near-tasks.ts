import type { LayerId } from "../../core/values/layer.ts";
import { MutableHeap } from "../../util/mutable-heap.ts";
import type { WaitingTask } from "./waiting-task.ts";

/** Waiting steps by the largest layer that they open: who has that layer has the most of their inputs. */
export class NearTasks {
  readonly #byLayer = new Map<LayerId, MutableHeap<WaitingTask>>();
  readonly #layers = new Map<WaitingTask, LayerId>();

  add(task: WaitingTask, largest: LayerId): void {
    const tasks = this.#byLayer.get(largest) ?? new MutableHeap<WaitingTask>(hasMoreBehind);
    this.#byLayer.set(largest, tasks);
    tasks.put(task);
    this.#layers.set(task, largest);
  }

  remove(task: WaitingTask): void {
    const layer = this.#layers.get(task);
    const tasks = layer === undefined ? undefined : this.#byLayer.get(layer);
    if (layer === undefined || tasks === undefined) return;
    this.#layers.delete(task);
    tasks.delete(task);
    if (tasks.size === 0) this.#byLayer.delete(layer);
  }

  /** Of those that open the layer, the one with most behind it. */
  first(layer: LayerId): WaitingTask | undefined {
    return this.#byLayer.get(layer)?.peek();
  }
}

function hasMoreBehind(a: WaitingTask, b: WaitingTask): boolean {
  return a.rank > b.rank || (a.rank === b.rank && a.id < b.id);
}
