package api

import (
	"context"
	"strconv"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/node/version"
)

// Downgrade answers as etcd does: one minor version down may be enabled, and is
// then shown by Status until it is cancelled. Nothing else follows from it:
// what Pontoon stores does not depend on the version of etcd's API.
func (m *Maintenance) Downgrade(ctx context.Context, r *pb.DowngradeRequest) (*pb.DowngradeResponse, error) {
	var err error
	switch r.Action {
	case pb.DowngradeRequest_VALIDATE:
		if _, err = downgradeTarget(r.Version); err == nil {
			err = m.Alarms.CheckDowngrade(ctx)
		}
	case pb.DowngradeRequest_ENABLE:
		var target string
		if target, err = downgradeTarget(r.Version); err == nil {
			err = m.Alarms.EnableDowngrade(ctx, target)
		}
	case pb.DowngradeRequest_CANCEL:
		err = m.Alarms.CancelDowngrade(ctx)
	default:
		err = status.Error(codes.Unknown, "etcdserver: unknown method")
	}
	if err != nil {
		return nil, err
	}
	major, minor, _ := majorMinor(version.Cluster)
	return &pb.DowngradeResponse{
		Header:  m.Header.Header(int64(m.Sequencer.Seen())),
		Version: strconv.Itoa(major) + "." + strconv.Itoa(minor),
	}, nil
}

// downgradeTarget returns the version meant, as MAJOR.MINOR.0, if the cluster
// may be taken down to it.
func downgradeTarget(text string) (string, error) {
	major, minor, ok := majorMinor(text)
	if !ok {
		return "", rpctypes.ErrGRPCWrongDowngradeVersionFormat
	}
	haveMajor, haveMinor, _ := majorMinor(version.Cluster)
	if major != haveMajor || minor != haveMinor-1 {
		return "", rpctypes.ErrGRPCInvalidDowngradeTargetVersion
	}
	return strconv.Itoa(major) + "." + strconv.Itoa(minor) + ".0", nil
}

// majorMinor parses MAJOR.MINOR or MAJOR.MINOR.PATCH, with what semantic
// versions may have after a patch.
func majorMinor(text string) (major, minor int, ok bool) {
	core, _, _ := strings.Cut(text, "+")
	core, _, _ = strings.Cut(core, "-")
	parts := strings.Split(core, ".")
	if len(parts) == 2 && core == text {
		parts = append(parts, "0")
	}
	if len(parts) != 3 {
		return 0, 0, false
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 31)
		if err != nil {
			return 0, 0, false
		}
		n[i] = int(v)
	}
	return n[0], n[1], true
}
