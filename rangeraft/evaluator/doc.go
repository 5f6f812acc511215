// Package evaluator is the kernel of a range's leader: it turns requests into
// batches of effects, binds revisions to them, and keeps the lock table, the
// read gate and the closed revision.
package evaluator
