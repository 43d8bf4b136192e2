{{- define "holdgate.workerProbes" -}}
livenessProbe:
  exec:
    command: [sh, -c, 'celery -A gatewayproj inspect ping --timeout 5 --destination "celery@$HOSTNAME"']
  initialDelaySeconds: 60
  periodSeconds: 60
  timeoutSeconds: 30
  failureThreshold: 5
{{- end -}}

{{- define "holdgate.sequencerProbes" -}}
readinessProbe:
  exec:
    command: [test, -s, /var/lib/holdgate/keys/log.pub]
  periodSeconds: 5
{{- end -}}

{{- /* The volume outlives the Secret: rotate_log_key writes the next key here, and a key that is here stays. */ -}}
{{- define "holdgate.seed" -}}
- name: log-key
  image: {{ include "holdgate.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [sh, -c, "umask 077; cd /var/lib/holdgate-log; [ -s log.key ] || { cp /run/seed/log.key log.key.new && mv log.key.new log.key; }"]
  resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
  {{- include "holdgate.rights" . | nindent 2 }}
  volumeMounts:
    - {name: state, mountPath: /var/lib/holdgate-log, subPath: log}
    - {name: seed, mountPath: /run/seed, readOnly: true}
{{- end -}}

{{- define "holdgate.seedVolume" -}}
- name: seed
  projected:
    defaultMode: 0440
    sources: {{- include "holdgate.secret" (dict "root" . "of" "logKey" "path" "log.key") | nindent 6 }}
{{- end -}}

{{- define "holdgate.of" -}}{{- /* Settings of a process under a role of the database, with a broker or without. */ -}}
HOLDGATE_HARDENED: {{ .hardened | quote }}
HOLDGATE_SECRET_KEY_FILE: /run/holdgate/secretKey
DATABASE_URL_FILE: /run/holdgate/{{ .role }}
{{- if .broker }}
BROKER_URL_FILE: /run/holdgate/broker
{{- end }}
{{- end -}}

{{- define "holdgate.agentProbes" -}}
readinessProbe:
  exec:
    command: [test, -f, /tmp/ready]
  periodSeconds: 5
{{- end -}}
