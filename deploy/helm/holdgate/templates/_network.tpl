{{- define "holdgate.reaches" -}}{{- /* One rule of egress: where to (anywhere if nothing is said) and the ports. */ -}}
- ports:
  {{- range .ports }}
  - {protocol: TCP, port: {{ . }}}
  {{- end }}
  {{- with .to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "holdgate.asks" -}}{{- /* Names. */ -}}
- ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
  {{- with . }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
