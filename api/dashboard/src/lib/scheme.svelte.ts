// Canvases can not follow CSS by themselves: this tells them when the colour scheme changes.

const query = matchMedia("(prefers-color-scheme: dark)");

class Scheme {
  dark = $state(query.matches);

  constructor() {
    query.addEventListener("change", () => (this.dark = query.matches));
  }
}

export const scheme = new Scheme();

/** A colour of app.css as a canvas takes it; custom properties themselves may hold light-dark(). */
export function inkOf(variable: string, beside: Element): string {
  const sample = document.createElement("span");
  sample.style.color = `var(${variable})`;
  beside.append(sample);
  const colour = getComputedStyle(sample).color;
  sample.remove();
  return colour;
}
