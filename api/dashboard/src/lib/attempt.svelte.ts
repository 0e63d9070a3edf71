/** One thing asked of the API: whether it is under way, and in one line why it failed. */
export class Attempt {
  busy = $state(false);
  trouble = $state("");

  /** Whether `work` was done. */
  async make(work: () => Promise<unknown>): Promise<boolean> {
    if (this.busy) return false;
    this.busy = true;
    try {
      await work();
      this.trouble = "";
      return true;
    } catch (error) {
      this.trouble = error instanceof Error ? error.message : String(error);
      return false;
    } finally {
      this.busy = false;
    }
  }
}
