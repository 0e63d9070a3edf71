const KEY = "isotherm.name";

function kept(): string {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // a browser may forbid storage; the name then lives as long as the page
  }
}

/** Who sits here; goes with every acknowledgement, cordon and reset. */
class Person {
  #name = $state(kept());

  get name(): string {
    return this.#name;
  }

  set name(name: string) {
    this.#name = name;
    try {
      localStorage.setItem(KEY, name.trim());
    } catch {
      // see kept()
    }
  }

  /** Throws when nobody has said a name: whoever acts is on record. */
  require(): string {
    const name = this.#name.trim();
    if (!name) throw new Error("enter your name first (field “Your name”)");
    return name;
  }
}

export const person = new Person();
