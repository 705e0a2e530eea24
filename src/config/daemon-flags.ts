/** Flags of the daemons, parsed; what is absent comes from the file, or has a default. */
export interface DaemonFlags {
  readonly config?: string;
  readonly root?: string;
  readonly debug?: boolean;
  readonly cdiDisabled?: boolean;
  readonly logLevel?: string;
  readonly logFormat?: string;
}

export interface FrontDoorFlags {
  readonly addr?: readonly string[];
  readonly tlscert?: string;
  readonly tlskey?: string;
  readonly tlscacert?: string;
  readonly group?: string;
  readonly allowInsecureEntitlement?: readonly string[];
  readonly metricsAddr?: string;
  readonly keepFailed?: string;
  readonly keepFailedSteps?: number;
}

export interface NatsFlags {
  readonly nats?: readonly string[];
  readonly natsCreds?: string;
  readonly natsToken?: string;
  readonly natsTlsca?: string;
  readonly natsTlscert?: string;
  readonly natsTlskey?: string;
}

export interface FleetTlsFlags {
  readonly fleetTlscert?: string;
  readonly fleetTlskey?: string;
  readonly fleetTlscacert?: string;
}

export interface WorkerFlags {
  readonly slots?: number;
  readonly maxParallelism?: number;
  readonly label?: readonly string[];
  readonly platform?: readonly string[];
  readonly cdiSpecDir?: readonly string[];
  readonly snapshotter?: string;
  readonly ociBinary?: string;
  readonly net?: string;
  readonly gc?: boolean;
}

export interface CoordinatorFlags extends DaemonFlags, FrontDoorFlags, NatsFlags, FleetTlsFlags {
  readonly agentLink?: string;
  readonly agentLinkAdvertise?: string;
}

export interface AgentFlags extends DaemonFlags, NatsFlags, FleetTlsFlags, WorkerFlags {
  readonly blobServer?: string;
  readonly blobServerAdvertise?: string;
  readonly coordinator?: string;
  readonly idleExit?: string;
  readonly drainTimeout?: string;
}

export interface StandaloneFlags extends DaemonFlags, FrontDoorFlags, WorkerFlags {}
