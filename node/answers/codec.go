package answers

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// Codec is gRPC's own, and knows answers that count until they were sent.
func Codec() encoding.CodecV2 { return codec{encoding.GetCodecV2(protocodec.Name)} }

type codec struct{ encoding.CodecV2 }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	h, ok := v.(*held)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	m, ok := h.message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("answers: %T is no message", h.message)
	}
	size := proto.Size(m)
	buf := h.hold.Get(size)
	data, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend((*buf)[:0], m)
	if err != nil {
		h.hold.Put(buf)
		return nil, err
	}
	*buf = data
	return mem.BufferSlice{mem.NewBuffer(buf, h.hold)}, nil
}
