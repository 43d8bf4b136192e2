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
    second_factor: {amr: [mfa, hwk], acr: [phr], ask: [phr]}
    trust_email: true
    account_claims: {slack_uid: "slack:T012AB3CD/*", github_id: "https://token.actions.githubusercontent.com|*"}
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
  - name: partner
    issuer: urn:example:idp
    groups_claim: memberOf
    login: true
    saml:
      metadata: file:/etc/holdgate/partner.xml
      subject: employeeNumber
      email: mail
      display: cn
      unsolicited: false
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
  operator: [corp/operations]
packs: [destructive-sql, payment-cards]
connections:
  orders-db:
    description: Orders, production
    transport: http
    url: http://mcp-orders.internal:9000/mcp
    networks: [10.0.0.0/8, "fd12::/16"]
    credential: {header: Authorization, prefix: "Bearer ", value: env:ORDERS_MCP_TOKEN}
    labels: {env: prod}
    access:
      - {groups: [corp/engineering, github/deployers], tools: ["*"]}
      - {groups: [corp/reading], kinds: [person, agent], tools: ["get_*", query]}
    mode: observe
    observe_until: 2026-12-24
    default: hold
    default_approval: {require: {any_of: [{groups: [dba], count: 1}]}, expires_after: 30m}
    access_requests: {require: {any_of: [{groups: [dba], count: 1}]}, max_duration: 8h, expires_after: 15m}
    wait: {default: 50s, ci: 30m, max: 1h, stream: 25s}
    timeout: 60s
    rate: [{calls: 600, per: 1m, by: caller}, {calls: 10, per: 1h, by: tool}]
    pin_tools: false
    tool_hints: [{tools: ["delete_*"], destructive: true, read_only: "false"}]
    sql_dialect: postgres
    protocol: 2025-11-25
    server_requests: [sampling, elicitation, roots]
    max_body: 4MiB
    max_answer: 32MiB
    notify: [{email: dba@example.com}]
  tickets:
    url: https://mcp.partner.example/mcp
    tls:
      ca: file:/etc/holdgate/partner-ca.pem
      certificate: file:/etc/holdgate/gateway.pem
      key: file:/run/secrets/gateway.key
      password: env:GATEWAY_KEY_PASSWORD
      min_version: "1.3"
      server_name: mcp.internal.partner.example
    credential:
      header: Authorization
      prefix: "Bearer "
      oauth:
        grant: client_credentials
        issuer: https://login.partner.example
        token_endpoint: https://login.partner.example/token
        client_id: holdgate
        client_auth: post
        client_secret: env:PARTNER_CLIENT_SECRET
        scope: [orders.read]
        audience: [orders]
        resource: https://mcp.partner.example
    proxy: {url: "http://proxy.internal:3128", user: holdgate, password: "file:/run/secrets/proxy"}
    default: deny
  reports:
    url: https://reports.example.com/mcp
    credential:
      oauth:
        grant: token_exchange
        token_endpoint: https://id.example.com/token
        client_id: holdgate
        private_key: file:/run/secrets/exchange.pem
        key_id: exchange-1
        subject_token_type: jwt
        resource: none
    default: deny
  mail:
    url: https://mail.example.com/mcp
    credential:
      oauth:
        grant: refresh_token
        issuer: https://login.mail.example
        client_id: holdgate
        refresh_token: file:/run/secrets/mail-refresh
    default: deny
  calendar:
    url: https://calendar.example.com/mcp
    credential:
      oauth:
        grant: authorization_code
        authorization_endpoint: https://login.calendar.example/authorize
        token_endpoint: https://login.calendar.example/token
        client_id: holdgate
        scope: [events]
    default: deny
channels:
  slack: {bot_token: env:SLACK_BOT_TOKEN, signing_secret: env:SLACK_SIGNING_SECRET, mode: http, team: T012AB3CD}
  email: {from: holdgate@example.com}
  webhooks: {ops: {url: https://ops.example.com/hooks/holdgate, secret: file:/run/secrets/ops_hook}}
  teams: {dba: {url: env:TEAMS_ADDRESS}}
  fallback: [{webhook: ops}]
  alerts: [{webhook: ops}]
  streams:
    siem: {format: cef, syslog: {host: siem.example.com, ca: file:/etc/holdgate/siem.pem}}
    lake: {file: ocsf.jsonl}
    soar: {webhook: {url: https://soar.example.com/holdgate, secret: env:SOAR_SECRET}}
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
        groups: [corp/engineering]
        not_groups: [release-managers]
        kinds: [person]
        subjects: ["*|a*"]
        claims: {ref: refs/heads/main}
      arguments:
        - {path: sql, matches_not: '(?i)^select\b'}
        - {path: "options[*].mode", one_of: [write, admin]}
        - {path: "**.dry_run", equals_not: true}
        - {path: limit, gte: 100, lt: 1e6}
        - {path: force, exists: true}
        - {path: where, absent: true}
        - {path: sql, sql_kind_not: [read]}
        - {path: host, in_cidr: [10.0.0.0/8, "fd00::/8"]}
        - {path: file, inside_not: /srv/data}
        - {path: note, longer_than: 200}
        - {path: "**", contains: [iban, credit_card]}
        - {path: "**", contains_text: production}
    approval:
      require: {all_of: [{groups: [dba], count: 2}, {groups: [security, corp/leads]}]}
      expires_after: 30m
      collect_within: 5m
      remind_after: 5m
      break_glass: {groups: [platform], mfa: required, notify: []}
      reveal_to: [security]
      escalate: [{after: 10m, add_groups: [platform]}, {after: 20m, add_groups: [security, corp/leads]}]
      comment: required
      reason: required
      decide_in: [dashboard]
      delegation: forbidden
      remember: {scopes: [same_arguments, same_tool], max_age: 1h, max_uses: 5}
    unless:
      - {callers: {groups: [release-managers]}, arguments: [{path: sql, sql_kind: write}]}
      - {labels: {env: test}, methods: ["*"]}
    notify: [{slack: "#db-approvals"}, {teams: dba}]
  - name: change-freeze
    action: deny
    match:
      callers: {kinds: [ci], not_groups: [release-managers]}
      time:
        zone: Europe/Berlin
        days: [sat, sun]
        hours: {from: "22:00", until: "06:00"}
        dates: [{from: 2026-12-20, until: 2027-01-02T08:00}]
      tools: ["deploy*"]
      hints: {destructive: [true, unknown], read_only: "false"}
  - name: payment-cards-in-arguments
    action: allow
    overrides: payment-cards
    match: {tools: [charge]}
  - name: letters
    action: allow
    mode: observe
    match: {methods: [resources/read], resources: ["file:///srv/letters/*"]}
detectors:
  - {name: employee-number, pattern: '\bEMP-[0-9]{6}\b', names: [employee id]}
  - {name: member-number, pattern: 'M[0-9]{8}', checksum: luhn}
masking:
  - {name: own, detectors: [employee-number, member-number]}
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
