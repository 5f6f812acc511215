package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"

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

// DamageError says which file of the engine is damaged. It is ErrDamaged.
type DamageError struct {
	File string
	Err  error
}

func (e *DamageError) Error() string { return fmt.Sprintf("%v: %s: %v", ErrDamaged, e.File, e.Err) }

// Unwrap makes it ErrDamaged and what it was.
func (e *DamageError) Unwrap() []error { return []error{ErrDamaged, e.Err} }

func damagedFile(path string, err error) error { return &DamageError{File: path, Err: err} }

// damaged marks err as ErrDamaged, naming the record, and the file where the
// engine knows it.
func damaged(what string, err error) error {
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
		return damagedFile(info.Path, fmt.Errorf("%s: %w", what, info.Details))
	}
	return fmt.Errorf("%w: %s: %w", ErrDamaged, what, err)
}

// Files as the engine names them in errors, and errors of opening that it does
// not mark as damage: tables that the MANIFEST lists are missing or cut.
var (
	fileInError  = regexp.MustCompile(`\d+\.(?:sst|log|blob)|(?:MANIFEST|OPTIONS)-\d+`)
	tableInError = regexp.MustCompile(`file (\d+) \(type sstable\)`)
	lostTable    = regexp.MustCompile(`object size mismatch|unknown to the objstorage provider`)
)

// openError gives an error of opening the directory its place.
func openError(dir string, err error) error {
	text := err.Error()
	if !pebble.IsCorruptionError(err) && !lostTable.MatchString(text) {
		return fmt.Errorf("storage: open %s: %w", dir, err)
	}
	if name := fileInError.FindString(text); name != "" {
		return damagedFile(filepath.Join(dir, name), err)
	}
	if m := tableInError.FindStringSubmatch(text); m != nil {
		return damagedFile(filepath.Join(dir, m[1]+".sst"), err)
	}
	return damagedFile(dir, err)
}

// wrap gives errors of the engine their place and marks corruption.
func wrap(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("storage: %s: %w", op, err)
	case pebble.IsCorruptionError(err):
		return damaged(op, err)
	default:
		return fmt.Errorf("storage: %s: %w", op, err)
	}
}

func rangeError(id proto.RangeID, err error) error {
	return fmt.Errorf("range %d: %w", id, err)
}
