/** Runs every folder beside it as a test; README.md here explains the files. */
import { after, test } from 'node:test';
import type { CleanUp } from '../support/cmail.ts';
import { requirePolicyServer } from '../support/policy-server.ts';
import { requireTool } from '../support/require.ts';
import { listScenarios } from '../support/scenario-format.ts';
import { StepRunner } from '../support/scenario-steps.ts';
import { ScenarioWorld } from '../support/scenario-world.ts';

const cleanUps: (() => Promise<void> | void)[] = [];
const whole: CleanUp = { after: (action) => void cleanUps.unshift(action) };
after(async () => {
  for (const cleanUp of cleanUps) await cleanUp();
});

let world: Promise<ScenarioWorld> | undefined;

for (const file of listScenarios(import.meta.dirname)) {
  test(`${file.name}: ${file.title}`, { timeout: 60_000 }, async (t) => {
    if (file.usesTls && requireTool(t, 'openssl') === null) return;
    if (file.usesPolicies && !(await requirePolicyServer(t))) return;
    world ??= ScenarioWorld.open(whole, import.meta.dirname);
    const { scenario, stage } = await (await world).prepare(t, file);
    const runner = new StepRunner(stage, file.name);
    for (const [at, step] of scenario.step.entries()) {
      try {
        await runner.run(step);
      } catch (error) {
        throw new Error(`step ${at + 1}${step.note === undefined ? '' : ` (${step.note})`}`, {
          cause: error,
        });
      }
    }
  });
}
