// Package logging opens the log that etcd's flags describe.
//
//	--log-level --log-format --log-outputs --enable-log-rotation
//	                  \--Options--> Open --> *slog.Logger
//
// Field names and the form of times and levels are those of etcd's lines, so
// that what reads an etcd log reads this one.
//
// I1: a setting that cannot be obeyed is refused with etcd's text before
// anything is logged. I2: nothing is written to a place that was not named.
package logging
