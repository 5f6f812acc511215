// Package web compares what real etcd and Pontoon answer over plain HTTP:
// status, headers and bodies of the same requests.
package web
