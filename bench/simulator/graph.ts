/** A step of a simulated build. */
export interface SimulatedVertex {
  readonly id: string;
  /** Vertices of the build, and images. */
  readonly inputs: readonly string[];
  /** What it takes once its inputs are there. */
  readonly seconds: number;
  /** Layer that it adds. */
  readonly outputBytes: number;
  readonly cores: number;
  readonly memoryBytes: number;
}

/** One build: its vertices, inputs first. */
export interface SimulatedBuild {
  readonly id: string;
  readonly tenant: string;
  readonly priority: number;
  /** Virtual seconds. */
  readonly arrival: number;
  readonly vertices: readonly SimulatedVertex[];
}

export interface Workload {
  readonly name: string;
  readonly about: string;
  /** Bytes of images that a registry has, by name. */
  readonly images?: ReadonlyMap<string, number>;
  readonly builds: readonly SimulatedBuild[];
}
