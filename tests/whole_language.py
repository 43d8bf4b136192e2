"""A document that uses everything that holdgate.yaml can say in this version."""

FULL = r"""
version: 1
issuers:
  - name: corp
    issuer: https://id.example.com
    audiences: [holdgate]
    strict_audience: false
    jwks_uri: https://id.example.com/jwks
    algorithms: [RS256, ES256, EdDSA]
    kind: {default: person, agent: {client_id: "agent-*"}}
    groups_claim: groups
    login: true
    groups_max_age: 12h
    trust_email: true
  - name: github
    issuer: https://token.actions.githubusercontent.com
    audiences: [holdgate]
    jwks_uri: file:/etc/holdgate/jwks.json
    kind: {default: ci}
    groups:
      deployers: {repository: "acme/*", ref: refs/heads/main}
    run_claims: [run_id, run_attempt, job_workflow_ref]
    person_claim: actor_id
    owned_by: [platform]
groups:
  dba: {members: [alice@example.com, bob@example.com]}
  security: {members: [carol@example.com]}
  platform: {members: [dave@example.com]}
people:
  - name: Dave
    accounts: ["https://id.example.com|dave", "https://token.actions.githubusercontent.com|4711"]
roles:
  admin: [platform]
  auditor: [corp/audit]
connections:
  orders-db:
    description: Orders, production
    transport: http
    url: http://mcp-orders.internal:9000/mcp
    credential: {header: Authorization, prefix: "Bearer ", value: env:ORDERS_MCP_TOKEN}
    labels: {env: prod}
    access:
      - {groups: [corp/engineering, github/deployers], tools: ["*"]}
      - {groups: [corp/reading], kinds: [person, agent], tools: ["get_*", query]}
    mode: observe
    observe_until: 2026-12-24
    default: hold
    default_approval: {require: {any_of: [{groups: [dba], count: 1}]}, expires_after: 30m}
    wait: {default: 50s, ci: 30m, max: 1h}
    timeout: 60s
    max_body: 4MiB
    max_answer: 32MiB
rules:
  - name: never-drop
    action: deny
    match:
      labels: {env: prod}
      arguments: [{path: sql, matches: '(?i)\bdrop\b'}]
    message: Changing the schema in production is not allowed here. Open a change request.
  - name: writes-need-a-dba
    action: hold
    match:
      connections: [orders-db]
      methods: [tools/call]
      tools: [query, "execute_*"]
      callers:
        {groups: [corp/engineering], not_groups: [release-managers], kinds: [person], subjects: ["*|a*"]}
      arguments:
        - {path: sql, matches_not: '(?i)^select\b'}
        - {path: "options[*].mode", one_of: [write, admin]}
        - {path: "**.dry_run", equals_not: true}
        - {path: limit, gte: 100, lt: 1e6}
        - {path: force, exists: true}
        - {path: where, absent: true}
        - {path: "**", contains_text: production}
    approval:
      require: {all_of: [{groups: [dba], count: 2}, {groups: [security, corp/leads]}]}
      expires_after: 30m
      collect_within: 5m
      comment: required
      reason: required
      decide_in: [dashboard]
  - name: letters
    action: allow
    mode: observe
    match: {methods: [resources/read], resources: ["file:///srv/letters/*"]}
masking:
  - name: secrets-everywhere
    detectors: [api_key, private_key, password_assignment, bearer_token]
    replace: label
  - {name: payment-cards, detectors: [credit_card], replace: partial}
  - {name: people, detectors: [email, phone, us_ssn, iban], replace: label, except_groups: [support-leads]}
  - name: columns
    connections: [orders-db]
    fields: [ssn, "**.salary", "customers[*].date_of_birth"]
    replace: remove
"""
