import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { agent, decided, schedulerWith, share, step } from "./scheduler-fixture.ts";

test("a step goes to the agent that has its inputs", () => {
  const scheduler = schedulerWith({ base: { bytes: 500e6, holders: ["c"] } });
  for (const id of ["a", "b", "c"]) scheduler.agentHeard(agent(id));
  scheduler.submit(step("s", { layers: ["base"] }));
  assert.deepEqual(decided(scheduler), ["s@c"]);
});

test("what makes another agent warm counts like layers", () => {
  const scheduler = schedulerWith({ base: { bytes: 100e6, holders: ["a"] } });
  for (const id of ["a", "b"]) scheduler.agentHeard(agent(id));
  scheduler.submit(step("s", { layers: ["base"], warm: () => [{ bytes: 2e9, holders: new Set(["b"]) }] }));
  assert.deepEqual(decided(scheduler), ["s@b"]);
});

test("steps that come at once spread over idle agents", () => {
  const scheduler = schedulerWith();
  for (const id of ["a", "b", "c"])
    scheduler.agentHeard(agent(id, { capacity: { slots: 4, cpu: 4, memoryBytes: 8e9 } }));
  for (const id of ["1", "2", "3"]) scheduler.submit(step(id));
  assert.deepEqual(
    decided(scheduler).map((text) => text.split("@")[1]),
    ["a", "b", "c"],
  );
});

test("the step with most behind it comes first", () => {
  const scheduler = schedulerWith();
  scheduler.submit(step("short", { rank: 3 }));
  scheduler.submit(step("long", { rank: 30 }));
  scheduler.agentHeard(agent("a"));
  assert.deepEqual(decided(scheduler), ["long@a"]);
});

test("a step waits for the busy holder of large inputs, but no longer than a copy takes or ten seconds", () => {
  const layers = { base: { bytes: 1e9, holders: ["a"] } };
  const busy = step("busy", { expectedSeconds: 3 });
  const next = step("next", { layers: ["base"], expectedSeconds: 5, rank: 5 });
  const start = () => {
    const scheduler = schedulerWith(layers);
    scheduler.agentHeard(agent("a"));
    scheduler.submit(busy);
    assert.deepEqual(decided(scheduler), ["busy@a"]);
    scheduler.agentHeard(agent("b"));
    scheduler.submit(next);
    assert.deepEqual(decided(scheduler), [], "the copy takes 10 s, the holder is free in 3 s");
    return scheduler;
  };
  const patient = start();
  patient.ended(busy);
  assert.deepEqual(decided(patient, 3), ["next@a"]);

  const disappointed = start();
  const deadline = disappointed.nextDeadline ?? 0;
  assert.ok(deadline > 3 && deadline <= 10, `${deadline}`);
  assert.deepEqual(decided(disappointed, deadline), ["next@b"]);

  const bereft = start();
  bereft.agentLost("a");
  assert.deepEqual(decided(bereft, 1), ["next@b"]);
});

test("a step does not wait for a holder that is busy for longer than it would wait", () => {
  const scheduler = schedulerWith({ base: { bytes: 300e6, holders: ["a"] } });
  scheduler.agentHeard(agent("a"));
  scheduler.submit(step("busy", { expectedSeconds: 11 }));
  assert.deepEqual(decided(scheduler), ["busy@a"]);
  scheduler.agentHeard(agent("b"));
  scheduler.submit(step("next", { layers: ["base"], rank: 1 }));
  assert.deepEqual(decided(scheduler), ["next@b"]);
});

test("what an agent fetches already is waited for before more is copied", () => {
  const scheduler = schedulerWith({ x: { bytes: 1e9, holders: ["gone"] }, y: { bytes: 500e6, holders: ["gone"] } });
  const slots = { capacity: { slots: 4, cpu: 8, memoryBytes: 64e9 } };
  scheduler.agentHeard(agent("a", slots));
  scheduler.submit(step("first", { layers: ["x"] }));
  assert.deepEqual(decided(scheduler), ["first@a"]);
  scheduler.agentHeard(agent("b", slots));
  scheduler.submit(step("same", { layers: ["x"] }));
  scheduler.submit(step("other", { layers: ["y"] }));
  assert.deepEqual(decided(scheduler, 1), ["same@a", "other@b"]);
});

test("a faster link is worth a longer line", () => {
  const scheduler = schedulerWith({ x: { bytes: 1e9, holders: ["gone"] } });
  scheduler.agentHeard(agent("a", { bandwidth: 10e6 }));
  scheduler.agentHeard(agent("b", { bandwidth: 500e6 }));
  scheduler.submit(step("s", { layers: ["x"] }));
  assert.deepEqual(decided(scheduler), ["s@b"]);
});

test("a slot goes to a step whose inputs are there, wherever in a long line it is", () => {
  const far = Array.from({ length: 100 }, (_, index) => `far-${index}`);
  const scheduler = schedulerWith({
    mine: { bytes: 2e9, holders: ["a"] },
    ...Object.fromEntries(far.map((name) => [name, { bytes: 2e9, holders: ["other"] }])),
  });
  scheduler.agentHeard(agent("a"));
  for (const name of far) scheduler.submit(step(name, { layers: [name], rank: 9, share: share(name) }));
  scheduler.submit(step("near", { layers: ["mine"], share: share("last") }));
  assert.deepEqual(decided(scheduler), ["near@a"]);
});

test("no tenant gets many times what others get because its inputs are there", () => {
  const scheduler = schedulerWith({
    mine: { bytes: 2e9, holders: ["a"] },
    theirs: { bytes: 2e9, holders: ["other"] },
  });
  scheduler.agentHeard(agent("a", { capacity: { slots: 20, cpu: 64, memoryBytes: 64e9 } }));
  for (const [tenant, layer] of [
    ["near", "mine"],
    ["far", "theirs"],
  ] as const) {
    for (let index = 0; index < 100; index++) {
      scheduler.submit(step(`${tenant}-${index}`, { layers: [layer], share: share(tenant, { tenant }) }));
    }
  }
  const served = Map.groupBy(scheduler.decide(0), ({ task }) => task.share.tenant);
  assert.ok((served.get("far")?.length ?? 0) >= 4, `${served.get("far")?.length}`);
});

test("a task that needs no slot passes steps that wait for one", () => {
  const scheduler = schedulerWith();
  scheduler.agentHeard(agent("a"));
  for (const id of ["1", "2", "3"]) scheduler.submit(step(id, { rank: 9 }));
  scheduler.submit(step("brief", { demand: { slots: 0, cpu: 0, memoryBytes: 0 } }));
  assert.deepEqual(decided(scheduler), ["1@a", "brief@a"]);
});

test("a free slot goes to the one of many waiting steps whose inputs are there", () => {
  const scheduler = schedulerWith({ x: { bytes: 2e9, holders: ["other"] }, y: { bytes: 2e9, holders: ["a"] } });
  scheduler.agentHeard(agent("a"));
  scheduler.submit(step("far", { layers: ["x"], rank: 9 }));
  scheduler.submit(step("near", { layers: ["y"], rank: 1 }));
  assert.deepEqual(decided(scheduler), ["near@a"]);
});

test("a step that was passed over for long is passed over no more", () => {
  const scheduler = schedulerWith({ x: { bytes: 1e9, holders: ["other"] }, y: { bytes: 1e9, holders: ["a"] } });
  scheduler.agentHeard(agent("a"));
  scheduler.submit(step("far", { layers: ["x"], rank: 9 }));
  const order: string[] = [];
  for (let now = 0; now < 30; now++) {
    const near = step(`near-${now}`, { layers: ["y"] });
    scheduler.submit(near);
    for (const { task } of scheduler.decide(now)) {
      order.push(task.id);
      scheduler.ended(task);
    }
  }
  assert.ok(order.indexOf("far") > 0 && order.indexOf("far") < 25, order.join(" "));
});

test("tasks that are no steps never wait for a slot", () => {
  const scheduler = schedulerWith();
  scheduler.agentHeard(agent("a"));
  scheduler.submit(step("step"));
  const none = { slots: 0, cpu: 0, memoryBytes: 0 };
  for (const id of ["1", "2", "3"]) scheduler.submit(step(id, { demand: none }));
  assert.equal(decided(scheduler).length, 4);
});

test("steps that do not fit let smaller ones pass, for a while", () => {
  const scheduler = schedulerWith();
  scheduler.agentHeard(agent("a", { capacity: { slots: 4, cpu: 8, memoryBytes: 8e9 } }));
  const small = (id: string) => step(id, { demand: { slots: 1, cpu: 1, memoryBytes: 3e9 } });
  const first = small("first");
  scheduler.submit(first);
  assert.deepEqual(decided(scheduler), ["first@a"]);
  scheduler.submit(step("big", { rank: 9, demand: { slots: 1, cpu: 1, memoryBytes: 7e9 } }));
  const second = small("second");
  scheduler.submit(second);
  assert.deepEqual(decided(scheduler, 1), ["second@a"]);
  scheduler.ended(first);
  scheduler.submit(small("third"));
  assert.deepEqual(decided(scheduler, 60), [], "the agent runs empty for what has waited so long");
  scheduler.ended(second);
  assert.deepEqual(decided(scheduler, 61), ["big@a"]);
});

test("a step larger than every machine runs alone", () => {
  const scheduler = schedulerWith();
  scheduler.agentHeard(agent("a"));
  scheduler.submit(step("huge", { demand: { slots: 1, cpu: 64, memoryBytes: 1e12 } }));
  assert.deepEqual(decided(scheduler), ["huge@a"]);
});

test("an agent that refused gets no step until something about it changes", () => {
  const scheduler = schedulerWith();
  scheduler.agentHeard(agent("a"));
  const task = step("s");
  scheduler.submit(task);
  assert.deepEqual(decided(scheduler), ["s@a"]);
  scheduler.refused(task);
  assert.deepEqual(decided(scheduler), []);
  scheduler.agentHeard(agent("a"));
  assert.deepEqual(decided(scheduler), ["s@a"]);
});

test("an agent where a task failed comes last", () => {
  const scheduler = schedulerWith({ base: { bytes: 1e9, holders: ["a"] } });
  scheduler.agentHeard(agent("a"));
  scheduler.submit(step("alone", { avoid: new Set(["a"]) }));
  assert.deepEqual(decided(scheduler), ["alone@a"]);
  scheduler.agentHeard(agent("b"));
  scheduler.submit(step("elsewhere", { avoid: new Set(["a"]), layers: ["base"] }));
  assert.deepEqual(decided(scheduler), ["elsewhere@b"]);
});

test("requirements are met, and wait apart", () => {
  const scheduler = schedulerWith({}, (id, requirement) => id === requirement);
  scheduler.agentHeard(agent("a"));
  for (const id of ["1", "2"]) scheduler.submit(step(id, { requirement: "b", rank: 9 }));
  scheduler.submit(step("3", { requirement: "a" }));
  assert.deepEqual(decided(scheduler), ["3@a"]);
  scheduler.agentHeard(agent("b"));
  assert.deepEqual(decided(scheduler), ["1@b"]);
});

test("a newcomer is served before a build that already has its share", () => {
  const scheduler = schedulerWith();
  scheduler.agentHeard(agent("a", { capacity: { slots: 3, cpu: 8, memoryBytes: 64e9 } }));
  const many = Array.from({ length: 1000 }, (_, index) => step(`big-${index}`, { share: share("big"), rank: 100 }));
  for (const task of many) scheduler.submit(task);
  assert.equal(decided(scheduler).length, 3);
  scheduler.submit(step("new", { share: share("small") }));
  scheduler.ended(many[0] ?? step("?"));
  assert.deepEqual(decided(scheduler), ["new@a"]);
});

test("shares follow weight and priority; tenants come before their builds", () => {
  const counts = (shares: readonly ReturnType<typeof share>[]) => {
    const scheduler = schedulerWith();
    scheduler.agentHeard(agent("a", { capacity: { slots: 300, cpu: 300, memoryBytes: 1e12 } }));
    for (const one of shares) {
      for (let index = 0; index < 400; index++) scheduler.submit(step(`${one.build}-${index}`, { share: one }));
    }
    const served = Map.groupBy(scheduler.decide(0), ({ task }) => task.share.build);
    return shares.map(({ build }) => served.get(build)?.length ?? 0);
  };
  const near = (actual: readonly number[], expected: readonly number[]) => {
    for (const [index, value] of expected.entries()) {
      assert.ok(Math.abs((actual[index] ?? 0) - value) <= 5, `${actual} instead of ${expected}`);
    }
  };
  near(counts([share("x"), share("y")]), [150, 150]);
  near(counts([share("x", { tenant: "1", weight: 2 }), share("y", { tenant: "2" })]), [200, 100]);
  near(counts([share("x", { tenant: "1", priority: 100 }), share("y", { tenant: "2" })]), [200, 100]);
  near(counts([share("x", { tenant: "1" }), share("y", { tenant: "1" }), share("z", { tenant: "2" })]), [75, 75, 150]);
});

test("a build runs no more steps at once than it may", () => {
  const scheduler = schedulerWith();
  scheduler.agentHeard(agent("a", { capacity: { slots: 8, cpu: 8, memoryBytes: 64e9 } }));
  const limited = share("limited", { parallelism: 2 });
  const tasks = ["1", "2", "3"].map((id) => step(id, { share: limited }));
  for (const task of tasks) scheduler.submit(task);
  assert.deepEqual(decided(scheduler), ["1@a", "2@a"]);
  if (tasks[0] !== undefined) scheduler.ended(tasks[0]);
  assert.deepEqual(decided(scheduler), ["3@a"]);
});

test("a withdrawn task is not placed, wherever it waits", () => {
  const scheduler = schedulerWith({ base: { bytes: 1e9, holders: ["a"] } });
  const waiting = step("waiting");
  scheduler.submit(waiting);
  scheduler.withdraw(waiting);
  scheduler.agentHeard(agent("a"));
  scheduler.submit(step("busy"));
  assert.deepEqual(decided(scheduler), ["busy@a"]);
  scheduler.agentHeard(agent("b"));
  const parked = step("parked", { layers: ["base"] });
  scheduler.submit(parked);
  assert.deepEqual(decided(scheduler), []);
  scheduler.withdraw(parked);
  assert.equal(scheduler.waiting, 0);
  assert.deepEqual(decided(scheduler, 100), []);
});

test("random fleets: all tasks run once, no agent has more than its slots, nothing is forgotten", () => {
  const scenario = fc.record({
    agents: fc.array(fc.record({ slots: fc.integer({ min: 1, max: 3 }), memory: fc.integer({ min: 1, max: 8 }) }), {
      minLength: 1,
      maxLength: 5,
    }),
    tasks: fc.array(
      fc.record({
        build: fc.integer({ min: 0, max: 3 }),
        memory: fc.integer({ min: 0, max: 10 }),
        rank: fc.integer({ min: 0, max: 100 }),
        layer: fc.integer({ min: 0, max: 3 }),
        step: fc.boolean(),
      }),
      { maxLength: 60 },
    ),
    events: fc.array(fc.nat({ max: 1000 }), { maxLength: 60 }),
  });
  const layers = Object.fromEntries(
    [0, 1, 2, 3].map((layer) => [`l${layer}`, { bytes: layer * 400e6, holders: [`a${layer}`] }]),
  );
  fc.assert(
    fc.property(scenario, ({ agents, tasks, events }) => {
      const run = () => {
        const scheduler = schedulerWith(layers);
        const log: string[] = [];
        const running = new Map<string, { readonly agent: string; readonly task: ReturnType<typeof step> }>();
        const done = new Set<string>();
        agents.forEach(({ slots, memory }, index) => {
          scheduler.agentHeard(agent(`a${index}`, { capacity: { slots, cpu: 16, memoryBytes: memory * 1e9 } }));
        });
        const decide = (now: number) => {
          for (const { task, agentId } of scheduler.decide(now)) {
            log.push(`${task.id}@${agentId}`);
            assert.ok(!running.has(task.id) && !done.has(task.id), `${task.id} runs twice`);
            running.set(task.id, { agent: agentId, task });
            const steps = [...running.values()].filter((one) => one.agent === agentId && one.task.demand.slots > 0);
            const { slots, memory } = agents[Number(agentId.slice(1))] ?? { slots: 0, memory: 0 };
            assert.ok(steps.length <= slots);
            const used = steps.reduce((sum, one) => sum + one.task.demand.memoryBytes, 0);
            assert.ok(steps.length === 1 || steps.length === 0 || used <= memory * 1e9);
          }
        };
        const finish = (index: number, now: number) => {
          const entry = [...running.values()][index % Math.max(running.size, 1)];
          if (entry === undefined) return;
          running.delete(entry.task.id);
          done.add(entry.task.id);
          scheduler.ended(entry.task);
          decide(now);
        };
        tasks.forEach((task, index) => {
          scheduler.submit(
            step(`t${index}`, {
              share: share(`b${task.build}`),
              demand: task.step
                ? { slots: 1, cpu: 1, memoryBytes: task.memory * 1e9 }
                : { slots: 0, cpu: 0, memoryBytes: 0 },
              rank: task.rank,
              layers: [`l${task.layer}`],
            }),
          );
          decide(index / 10);
          const event = events[index];
          if (event !== undefined) finish(event, index / 10);
        });
        for (let now = 100; done.size < tasks.length; now += 40) {
          decide(now);
          assert.ok(running.size > 0, `${scheduler.waiting} wait, nothing runs`);
          finish(0, now);
        }
        assert.equal(scheduler.waiting, 0);
        return log;
      };
      assert.deepEqual(run(), run(), "the same events, the same decisions");
    }),
  );
});
