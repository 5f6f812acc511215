package api

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Alarm lists, raises and clears alarms.
func (m *Maintenance) Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	alarms, err := m.Alarms.Do(ctx, r)
	if err != nil {
		return nil, err
	}
	return &pb.AlarmResponse{Header: m.Header.Header(int64(m.Sequencer.Seen())), Alarms: alarms}, nil
}
