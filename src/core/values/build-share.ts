/** What a build gets of the fleet beside others. Builds of one tenant share what the tenant gets. */
export interface BuildShare {
  /** Ref of the build. */
  readonly build: string;
  readonly tenant: string;
  /** Points: 100 more count twice as much. */
  readonly priority: number;
  /** Share against others of the same priority; 1 by default. */
  readonly weight: number;
  /** Most steps of the build at the same time. */
  readonly parallelism?: number;
  /** Its steps run on agents with this label `pool` alone. */
  readonly pool?: string;
}
