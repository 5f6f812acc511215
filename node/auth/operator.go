package auth

import (
	"context"
	"strings"

	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// AdminService lets administrators alone use the service of the pontoon command
// line, once authentication is on.
func (g *Guard) AdminService(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if strings.HasPrefix(info.FullMethod, "/"+pontoonpb.Admin_ServiceDesc.ServiceName+"/") {
		if _, err := g.allow(ctx, isAdmin); err != nil {
			return nil, err
		}
	}
	return next(ctx, req)
}
