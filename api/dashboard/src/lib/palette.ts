// Cividis (Nunez, Anderton, Renslow 2018): reads the same with and without colour vision. Alarm
// colours never occur in it.

const ANCHORS: readonly (readonly [number, number, number, number])[] = [
  [0.0, 0x00, 0x22, 0x4e],
  [0.125, 0x12, 0x35, 0x70],
  [0.25, 0x3b, 0x49, 0x6c],
  [0.375, 0x57, 0x5d, 0x6d],
  [0.5, 0x70, 0x71, 0x73],
  [0.625, 0x8a, 0x86, 0x78],
  [0.75, 0xa5, 0x9c, 0x74],
  [0.875, 0xc3, 0xb3, 0x69],
  [0.9375, 0xe1, 0xcc, 0x55],
  [1.0, 0xfe, 0xe8, 0x38],
];

function colour(position: number): string {
  const upper = Math.max(1, ANCHORS.findIndex(([at]) => at >= position));
  const [fromAt, ...from] = ANCHORS[upper - 1] ?? ANCHORS[0]!;
  const [toAt, ...to] = ANCHORS[upper] ?? ANCHORS[ANCHORS.length - 1]!;
  const share = Math.min(Math.max((position - fromAt) / (toAt - fromAt), 0), 1);
  const mixed = from.map((channel, n) => Math.round(channel + ((to[n] ?? channel) - channel) * share));
  return `rgb(${mixed.join(",")})`;
}

export const PALETTE: readonly string[] = Array.from({ length: 256 }, (_, n) => colour(n / 255));
