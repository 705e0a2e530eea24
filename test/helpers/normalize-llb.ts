/** The answer to `frontend.convertllb`, as JSON. */
export interface LlbJson {
  readonly def?: Readonly<Record<string, OpJson>>;
  readonly metadata?: Readonly<Record<string, MetadataJson>>;
  readonly source?: { readonly locations?: Readonly<Record<string, { readonly locations?: readonly RangesJson[] }>> };
}

interface OpJson {
  readonly inputs?: readonly { readonly digest: string; readonly index?: string }[];
  readonly source?: { readonly attrs?: Readonly<Record<string, string>> };
}

interface MetadataJson {
  readonly caps?: Readonly<Record<string, boolean>>;
  readonly progress_group?: { readonly id: string };
}

interface PositionJson {
  readonly line?: number;
}

interface RangesJson {
  readonly ranges?: readonly { readonly start: PositionJson; readonly end: PositionJson }[];
}

const sessionAttrs = ["local.session", "local.unique", "oci.session", "oci.store"];

/**
 * One entry per op, inputs first and named by index, random ids replaced, so that two conversions can be compared. The
 * digest is there for ops which depend on no session.
 */
export function normalizeLlb({ def = {}, metadata = {}, source }: LlbJson): object[] {
  const used = new Set(Object.values(def).flatMap(({ inputs = [] }) => inputs.map(({ digest }) => digest)));
  const order: string[] = [];
  const visit = (digest: string) => {
    if (order.includes(digest)) return;
    for (const input of def[digest]?.inputs ?? []) visit(input.digest);
    order.push(digest);
  };
  for (const digest of Object.keys(def)) if (!used.has(digest)) visit(digest);

  const groups: string[] = [];
  const ofSession = new Set<string>();
  return order.map((digest) => {
    const op = def[digest] ?? {};
    const attrs = { ...op.source?.attrs };
    const bound = sessionAttrs.filter((key) => key in attrs);
    for (const key of bound) attrs[key] = "<id>";
    if (bound.length > 0 || op.inputs?.some((input) => ofSession.has(input.digest))) ofSession.add(digest);
    const { caps, progress_group, ...meta } = metadata[digest] ?? {};
    const lines = (source?.locations?.[digest]?.locations ?? []).map(lineTexts);
    const entry = {
      op: {
        ...withoutEmptyConstraints(op),
        ...(bound.length === 0 ? {} : { source: { ...op.source, attrs } }),
        inputs: (op.inputs ?? []).map((input) => [order.indexOf(input.digest), Number(input.index ?? 0)]),
      },
      meta: {
        ...meta,
        ...(caps === undefined ? {} : { caps: Object.keys(caps).sort() }),
        ...(progress_group === undefined
          ? {}
          : { progress_group: { ...progress_group, id: groupName(groups, progress_group.id) } }),
      },
      ...(lines.length === 0 ? {} : { lines }),
      ...(ofSession.has(digest) ? {} : { digest }),
    };
    return entry;
  });
}

function withoutEmptyConstraints(op: OpJson & { readonly constraints?: object }): object {
  const { constraints, ...others } = op;
  return constraints !== undefined && Object.keys(constraints).length > 0 ? op : others;
}

function groupName(groups: string[], id: string): string {
  const known = groups.indexOf(id);
  return `group${known >= 0 ? known : groups.push(id) - 1}`;
}

function lineTexts({ ranges = [] }: RangesJson): string[] {
  return ranges.map(({ start, end }) => {
    const [first, last] = [start.line ?? 0, end.line ?? 0];
    return first === last ? `${first}` : `${first}-${last}`;
  });
}
