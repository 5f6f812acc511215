package admin

import (
	"context"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// PlacementSettings changes the settings that are named, all or none, and
// returns every one.
func (s *Server) PlacementSettings(ctx context.Context, req *pontoonpb.PlacementSettingsRequest) (*pontoonpb.PlacementSettingsResponse, error) {
	if len(req.Set) > 0 {
		if err := s.Cluster.ChangeSettings(ctx, req.Set); err != nil {
			return nil, operatorError(err)
		}
	}
	all, err := s.Cluster.Settings(ctx)
	if err != nil {
		return nil, operatorError(err)
	}
	return &pontoonpb.PlacementSettingsResponse{Settings: all}, nil
}
