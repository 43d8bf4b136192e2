{{- define "holdgate.fullname" -}}
{{- if contains "holdgate" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-holdgate" (.Release.Name | trunc 31 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- /* What selects pods; a component says which process they are. */ -}}
{{- define "holdgate.selector" -}}
app.kubernetes.io/name: holdgate
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "holdgate.labels" -}}
{{ include "holdgate.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "holdgate.metadata" -}}
name: {{ include "holdgate.fullname" .root }}-{{ .name | default .component }}
namespace: {{ .root.Release.Namespace }}
labels: {{- include "holdgate.labels" . | nindent 2 }}
{{- end -}}

{{- define "holdgate.image" -}}
{{- $image := .Values.image -}}
{{- $name := required "image.repository: where you pushed the image that deploy/Dockerfile makes" $image.repository -}}
{{- if $image.digest -}}{{ $name }}@{{ $image.digest }}{{- else -}}{{ $name }}:{{ $image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end -}}

{{- /* A source of a projected volume: the one secret that is asked for, under the file name that is given. */ -}}
{{- define "holdgate.secret" -}}
{{- $one := index .root.Values.secrets .of -}}
{{- $name := $one.secret | default .root.Values.existingSecret -}}
{{- if not $name -}}
{{- fail (printf "existingSecret: name the Secret that holds %q, or name another one in secrets.%s.secret; docs/kubernetes.md says what belongs in it" $one.key .of) -}}
{{- end -}}
- secret: {name: {{ $name | quote }}, items: [{key: {{ $one.key | quote }}, path: {{ .path | default .of | quote }}}]}
{{- end -}}

{{- define "holdgate.configMap" -}}
{{- .Values.config.existingConfigMap | default (printf "%s-config" (include "holdgate.fullname" .)) -}}
{{- end -}}

{{- define "holdgate.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .storageClass }}
storageClassName: {{ . | quote }}
{{- end }}
resources: {requests: {storage: {{ .size }}}}
{{- end -}}
