// Binary frames of the live feed: a 40-byte little-endian header, then one code a chip.

export const MAGIC = 0x314d5349;
export const HEADER_BYTES = 40;
export const NO_DATA = 255;
export const ABOVE_RANGE = 254;

export interface Plane {
  metricId: number;
  epoch: number;
  tick: number;
  first: number;
  scale: number;
  base: number;
  /** Age of what it shows when the server sent it. */
  ageSeconds: number;
  codes: Uint8Array;
}

/** Throws on a frame that is not what it claims to be. */
export function decodePlane(buffer: ArrayBuffer): Plane {
  const view = new DataView(buffer);
  if (buffer.byteLength < HEADER_BYTES || view.getUint32(0, true) !== MAGIC) {
    throw new Error("not a live frame");
  }
  const [version, kind, metricId, encoding] = [4, 5, 6, 7].map((at) => view.getUint8(at));
  if (version !== 1 || kind !== 0 || encoding !== 0 || metricId === undefined) {
    throw new Error(`live frame of version ${version}, kind ${kind}, encoding ${encoding}`);
  }
  const count = view.getUint32(24, true);
  if (buffer.byteLength !== HEADER_BYTES + count) throw new Error("live frame is cut short");
  return {
    metricId,
    epoch: view.getUint32(8, true),
    tick: Number(view.getBigUint64(12, true)),
    first: view.getUint32(20, true),
    scale: view.getFloat32(28, true),
    base: view.getFloat32(32, true),
    ageSeconds: view.getFloat32(36, true),
    codes: new Uint8Array(buffer, HEADER_BYTES, count),
  };
}

/** Frames may carry a part of the fleet; the page draws one plane of `chips` from chip 0. Throws
 *  when the part lies outside. */
export function merged(whole: Plane | undefined, part: Plane, chips: number): Plane {
  if (part.first + part.codes.length > chips) throw new Error("live frame is beyond the fleet");
  if (part.codes.length === chips) return part;
  const codes = new Uint8Array(chips).fill(NO_DATA);
  if (whole) codes.set(whole.codes);
  codes.set(part.codes, part.first);
  return { ...part, first: 0, codes };
}

/** The value behind a code; null where nothing is known, infinite above the range. */
export function valueOf(plane: Plane, code: number): number | null {
  if (code === NO_DATA) return null;
  return code === ABOVE_RANGE ? Infinity : code * plane.scale + plane.base;
}
