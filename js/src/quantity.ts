/** Quantities with their units, in as many digits as matter. Pure. */

interface Unit {
  readonly step: number;
  readonly names: readonly string[];
}

/** Memory is built in powers of two, and what drivers and torch say of it is in GiB. */
const MEMORY: Unit = { step: 1024, names: ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] };
const COUNT: Unit = { step: 1000, names: ["B", "kB", "MB", "GB", "TB", "PB"] };
const RATE: Unit = { step: 1000, names: ["B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s"] };

/** "3.1 GiB", "512 MiB", "0 B". */
export function memory(bytes: number): string {
  return scaled(bytes, MEMORY);
}

/** "21.3 of 64.0 GiB": the part in the whole's unit, which is said once. */
export function memoryOf(part: number, whole: number): string {
  return `${digits(part, powerOf(whole, MEMORY), MEMORY)} of ${memory(whole)}`;
}

/** "13.2 kB", as files are counted. */
export function byteCount(bytes: number): string {
  return scaled(bytes, COUNT);
}

/** "120 MB/s". */
export function byteRate(bytesPerSecond: number): string {
  return scaled(bytesPerSecond, RATE);
}

export function percentage(value: number): string {
  return `${Math.round(value)} %`;
}

export function celsius(value: number): string {
  return `${Math.round(value)} °C`;
}

export function watts(value: number): string {
  return `${Math.round(value)} W`;
}

function scaled(value: number, unit: Unit): string {
  const power = powerOf(value, unit);
  return `${digits(value, power, unit)} ${unit.names[power] ?? ""}`;
}

/** 999.6 kB/s reads "1.0 MB/s", not "1000 kB/s". */
function powerOf(value: number, { step, names }: Unit): number {
  let power = 0;
  while (power < names.length - 1 && Math.round(value / step ** power) >= 1000) power += 1;
  return power;
}

/** Bytes are whole; below a hundred one decimal more tells where it is heading. */
function digits(value: number, power: number, { step }: Unit): string {
  const scaledValue = value / step ** power;
  return power === 0 || scaledValue >= 99.95 ? String(Math.round(scaledValue)) : scaledValue.toFixed(1);
}
