package storage

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pontoon-kv/pontoon/proto"
)

// Errors of the package, to be tested with errors.Is.
var (
	ErrLocked        = errors.New("storage: directory is in use by another process")
	ErrDamaged       = errors.New("storage: damaged")
	ErrRangeNotFound = errors.New("storage: no replica of the range here")
	ErrRangeExists   = errors.New("storage: range has a replica here already")
	ErrTombstone     = errors.New("storage: replica was removed from this node")
	ErrOverlap       = errors.New("storage: span overlaps another range of this node")
	ErrClosed        = errors.New("storage: closed")
)

// IdentError refuses a directory that belongs to another node or cluster.
type IdentError struct {
	Have, Want Ident
}

func (e *IdentError) Error() string {
	return fmt.Sprintf("storage: directory belongs to node %x of cluster %x, not to node %x of cluster %x",
		uint64(e.Have.NodeID), e.Have.ClusterID, uint64(e.Want.NodeID), e.Want.ClusterID)
}

// FormatError refuses a directory written by a newer version of Pontoon.
type FormatError struct {
	Have, Want uint64
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("storage: directory has format %d, this version reads formats up to %d", e.Have, e.Want)
}

// damaged marks err as ErrDamaged, naming the record.
func damaged(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrDamaged, what, err)
}

// wrap gives errors of the engine their place and marks corruption.
func wrap(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pebble.ErrCorruption):
		return damaged(op, err)
	default:
		return fmt.Errorf("storage: %s: %w", op, err)
	}
}

func rangeError(id proto.RangeID, err error) error {
	return fmt.Errorf("range %d: %w", id, err)
}
