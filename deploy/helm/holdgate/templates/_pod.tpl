{{- /*
A pod with one container of ours. Takes: root, component, command (list of words), grace, resources, probes (text), and
  secrets    names in .Values.secrets that this process reads, as files in /run/holdgate
  settings   its own environment: name to value
  keys       the public half of the log's key is put into its state folder
  state      the claim that is its state folder; without one that is empty at each start
  config     holdgate.yaml is mounted
  ports      it answers on 8000
Nothing in it may be written but the state folder and /tmp.
*/ -}}
{{- define "holdgate.pod" -}}
{{- $root := .root -}}{{- $component := .component -}}
{{- $sources := include "holdgate.sources" . | trim -}}
metadata:
  labels: {{- include "holdgate.labels" . | nindent 4 }}
  {{- if .config }}
  annotations: {checksum/config: {{ .text | default $root.Values.config.text | sha256sum }}}
  {{- end }}
spec:
  {{- if .account }}
  serviceAccountName: {{ include "holdgate.fullname" $root }}
  {{- end }}
  automountServiceAccountToken: {{ and .account $root.Values.serviceAccount.mountToken | default false }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .grace | default 30 }}
  {{- with .restart }}
  restartPolicy: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .spread }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "holdgate.selector" . | nindent 10 }}
  {{- end }}
  {{- with .first }}
  initContainers: {{- . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ $component }}
      image: {{ include "holdgate.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: {{ toJson .command }}
      {{- if .ports }}
      ports: [{name: http, containerPort: 8000}]
      {{- end }}
      {{- if ne $component "agent" }}
      env:
        - {name: HOLDGATE_PUBLIC_URL, value: {{ required "publicUrl: the address that callers and browsers use, such as https://holdgate.example.com" $root.Values.publicUrl | quote }}}
        - {name: HOLDGATE_STATE_DIR, value: /var/lib/holdgate}
        {{- if and $root.Values.agents.enabled (eq $component "web") (not $root.Values.standalone.enabled) }}
        - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: HOLDGATE_INTERNAL_BIND, value: "$(POD_IP):{{ $root.Values.agents.port }}"}
        {{- end }}
        {{- range $name, $value := .settings }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
        {{- range $name, $value := $root.Values.settings }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
        {{- range $root.Values.secretSettings }}
        {{- if include "holdgate.gets" (dict "component" $component "for" .for) }}
        - {name: {{ .name }}_FILE, value: /run/holdgate/{{ .name }}}
        {{- end }}
        {{- end }}
      {{- end }}
      {{- with .probes }}
      {{- . | nindent 6 }}
      {{- end }}
      resources: {{- toYaml .resources | nindent 8 }}
      {{- include "holdgate.rights" . | nindent 6 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: state, mountPath: /var/lib/holdgate{{ if .parts }}, subPath: state{{ end }}}
        {{- if .parts }}
        - {name: state, mountPath: /var/lib/holdgate-log, subPath: log}
        {{- end }}
        {{- if $sources }}
        - {name: secrets, mountPath: /run/holdgate, readOnly: true}
        {{- end }}
        {{- if .keys }}
        - {name: keys, mountPath: /var/lib/holdgate/keys, readOnly: true}
        {{- end }}
        {{- if .config }}
        - {name: config, mountPath: /etc/holdgate, readOnly: true}
        {{- end }}
  volumes:
    - {name: tmp, emptyDir: {}}
    {{- if .state }}
    - {name: state, persistentVolumeClaim: {claimName: {{ .state }}}}
    {{- else }}
    - {name: state, emptyDir: {}}
    {{- end }}
    {{- with $sources }}
    - name: secrets
      projected:
        defaultMode: 0440
        sources: {{- . | nindent 10 }}
    {{- end }}
    {{- if .keys }}
    - name: keys
      projected:
        defaultMode: 0440
        sources:
          {{- include "holdgate.secret" (dict "root" $root "of" "logPublicKey" "path" "log.pub") | nindent 10 }}
          {{- if and $root.Values.saml.enabled (eq $component "web") }}
          {{- include "holdgate.secret" (dict "root" $root "of" "samlKey" "path" "saml.key") | nindent 10 }}
          {{- include "holdgate.secret" (dict "root" $root "of" "samlCertificate" "path" "saml.crt") | nindent 10 }}
          {{- end }}
    {{- end }}
    {{- with .volumes }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- if .config }}
    - {name: config, configMap: {name: {{ .configMap | default (include "holdgate.configMap" $root) }}}}
    {{- end }}
{{- end -}}

{{- /* Whether a process gets a setting that is for some; empty for no. */ -}}
{{- define "holdgate.gets" -}}
{{- $for := .for | default (list "web" "worker") -}}
{{- if and (ne .component "agent") (or (has "all" $for) (has .component $for)) }}yes{{ end -}}
{{- end -}}

{{- /* Everything that lies in /run/holdgate of one process. */ -}}
{{- define "holdgate.sources" -}}
{{- $root := .root -}}{{- $component := .component -}}
{{- range .secrets }}
{{ include "holdgate.secret" (dict "root" $root "of" .) }}
{{- end }}
{{- range $root.Values.secretSettings }}
{{- if include "holdgate.gets" (dict "component" $component "for" .for) }}
- secret: {name: {{ .secret | quote }}, items: [{key: {{ .key | quote }}, path: {{ .name | quote }}}]}
{{- end }}
{{- end }}
{{- if eq $component "agent" }}
{{- with $root.Values.agent.token }}
- secret: {name: {{ required "agent.token.secret: the Secret with what `manage.py agents make` printed" .secret | quote }}, items: [{key: {{ .key | quote }}, path: agent-token}]}
{{- end }}
{{- range $root.Values.agent.secretFiles }}
- secret: {name: {{ .secret | quote }}, items: [{key: {{ .key | quote }}, path: {{ .name | quote }}}]}
{{- end }}
{{- end }}
{{- if has $component (list "web" "worker" "slack-socket") }}
{{- range $root.Values.secretFiles }}
- secret: {name: {{ .secret | quote }}, items: [{key: {{ .key | quote }}, path: {{ .name | quote }}}]}
{{- end }}
{{- end }}
{{- end -}}

{{- define "holdgate.rights" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "holdgate.webProbes" -}}
startupProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
# Who balances load goes on sending for a moment after a pod was told to end.
lifecycle:
  preStop: {sleep: {seconds: 5}}
{{- end -}}
