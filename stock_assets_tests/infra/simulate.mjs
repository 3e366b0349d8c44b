// Evaluates cases of the permission matrix with iam-simulate. Reads {policies, cases} as JSON from standard input; prints
// for each case whether it is allowed. Run in the folder of the tool environment, where the package is installed.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'

const require = createRequire(pathToFileURL(join(process.cwd(), 'package.json')))
const { runSimulation } = require('@cloud-copilot/iam-simulate')

const chunks = []
for await (const chunk of process.stdin) chunks.push(chunk)
const { account, cases } = JSON.parse(Buffer.concat(chunks).toString())

const results = []
for (const one of cases) {
  const answer = await runSimulation(
    {
      request: {
        principal: one.principal,
        action: one.action,
        resource: { resource: one.resource, accountId: account },
        contextVariables: one.context,
      },
      identityPolicies: one.policies.map((policy, index) => ({ name: `policy-${index}`, policy })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      ...(one.resource_policy ? { resourcePolicy: one.resource_policy } : {}),
    },
    {},
  )
  results.push(answer.resultType === 'error' ? JSON.stringify(answer.errors) : answer.overallResult)
}
process.stdout.write(JSON.stringify(results))
