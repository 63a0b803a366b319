/** Who on this page looks at which task, and how far each of them is. */

export abstract class Readers<Reader, Place> {
  private readonly tasks = new Map<string, Map<Reader, Place>>();

  constructor(
    /** Where whoever joins begins. */
    private readonly start: Place,
  ) {}

  get taskIds(): string[] {
    return [...this.tasks.keys()];
  }

  has(taskId: string): boolean {
    return this.tasks.has(taskId);
  }

  join(taskId: string, reader: Reader): void {
    this.tasks.set(taskId, this.of(taskId).set(reader, this.start));
  }

  leave(taskId: string, reader: Reader): void {
    const readers = this.of(taskId);
    readers.delete(reader);
    if (readers.size === 0) this.tasks.delete(taskId);
  }

  /** The task's readers and their places. */
  protected of(taskId: string): Map<Reader, Place> {
    return this.tasks.get(taskId) ?? new Map();
  }
}
