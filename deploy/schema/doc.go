// Package schema checks what lies in deploy/ by the code of those who will read
// it: Prometheus' parser and Kubernetes' types. It has tests only, and is a
// module of its own so that nothing else carries what they need.
package schema
