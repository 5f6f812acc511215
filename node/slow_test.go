package node

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// Some slow requests are logged, all are counted.
func TestSlowRequestsAreSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := newSlowRequests(time.Millisecond, slog.New(slog.NewJSONHandler(&out, nil)))
		call := func(took time.Duration) {
			if _, err := s.unary(t.Context(), &pb.PutRequest{}, &grpc.UnaryServerInfo{}, func(context.Context, any) (any, error) {
				time.Sleep(took)
				return &pb.PutResponse{}, nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		call(time.Microsecond)
		for range 2000 {
			call(2 * time.Millisecond)
		}
		time.Sleep(time.Second)
		call(2 * time.Millisecond)
		logged, omitted := 0, 0
		for d := json.NewDecoder(&out); d.More(); logged++ {
			var line struct{ Omitted int }
			if err := d.Decode(&line); err != nil {
				t.Fatal(err)
			}
			omitted += line.Omitted
		}
		if logged+omitted != 2001 || logged < 100 || logged > 250 {
			t.Errorf("%d are logged, %d left out", logged, omitted)
		}
	})
}
