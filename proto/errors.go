package proto

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// RangeError is a failed operation on one range. It carries what the caller
// needs to go on: a redirect, and whether resending is safe.
type RangeError struct {
	*pontoonpb.RangeError
}

// Error implements error.
func (e *RangeError) Error() string {
	if e.Message != "" {
		return e.Message
	}
	return "range operation failed: " + e.Code.String()
}

// Safe reports whether the operation certainly had no effect and will have
// none, so that it may be sent again (P34).
func (e *RangeError) Safe() bool {
	return e.Code != pontoonpb.RangeErrorCode_AMBIGUOUS
}

// Errorf returns a RangeError with a formatted message.
func Errorf(code pontoonpb.RangeErrorCode, format string, args ...any) *RangeError {
	return &RangeError{&pontoonpb.RangeError{Code: code, Message: fmt.Sprintf(format, args...)}}
}

// NotLeader redirects to the leader's node; hint 0 means not known.
func NotLeader(hint NodeID) *RangeError {
	return &RangeError{&pontoonpb.RangeError{Code: pontoonpb.RangeErrorCode_NOT_LEADER, LeaderNode: uint64(hint)}}
}

// Mismatch refuses a span that does not lie inside the range; known are the
// descriptors that this node has for the keys (P21).
func Mismatch(known ...*pontoonpb.Descriptor) *RangeError {
	return &RangeError{&pontoonpb.RangeError{Code: pontoonpb.RangeErrorCode_RANGE_MISMATCH, Descriptors: known}}
}

// BelowFloor refuses a read below the range's compaction floor (P41).
func BelowFloor(floor Revision) *RangeError {
	return &RangeError{&pontoonpb.RangeError{Code: pontoonpb.RangeErrorCode_BELOW_FLOOR, Floor: int64(floor)}}
}

// Answer wraps an error that is etcd's answer to the client (one of etcd's
// rpctypes.ErrGRPC* values or another gRPC status error), so that it survives
// the hop from leader to gateway with code and text.
func Answer(err error) *RangeError {
	s := status.Convert(err)
	return &RangeError{&pontoonpb.RangeError{
		Code: pontoonpb.RangeErrorCode_ETCD, GrpcCode: uint32(s.Code()), Message: s.Message(),
	}}
}

// ClientError turns any error into what a client of etcd is shown. Answers
// pass through, everything else becomes Unavailable unless it already carries
// a gRPC code.
func ClientError(err error) error {
	if err == nil {
		return nil
	}
	var re *RangeError
	if errors.As(err, &re) {
		if re.Code == pontoonpb.RangeErrorCode_ETCD {
			return status.Error(codes.Code(re.GrpcCode), re.Message)
		}
		return status.Error(codes.Unavailable, "etcdserver: request timed out")
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.FromContextError(err).Err()
}

// FromWire returns the typed form of a reply's error, nil for none.
func FromWire(e *pontoonpb.RangeError) error {
	if e == nil || e.Code == pontoonpb.RangeErrorCode_RANGE_ERROR_NONE {
		return nil
	}
	return &RangeError{e}
}

// ToWire returns the wire form of any error of a range operation; errors that
// are not RangeErrors become UNAVAILABLE.
func ToWire(err error) *pontoonpb.RangeError {
	var re *RangeError
	if errors.As(err, &re) {
		return re.RangeError
	}
	return &pontoonpb.RangeError{Code: pontoonpb.RangeErrorCode_UNAVAILABLE, Message: err.Error()}
}

// HasCode reports whether err is a RangeError with the code.
func HasCode(err error, code pontoonpb.RangeErrorCode) bool {
	var re *RangeError
	return errors.As(err, &re) && re.Code == code
}
