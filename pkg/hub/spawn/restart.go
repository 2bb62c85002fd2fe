package spawn

// Restarting returns the server as it is while its pod ends, so that it starts again.
func (s Server) Restarting() Server {
	s.Status = Status{Phase: Pending, Steps: []Step{{Message: MsgRestarting}}}
	s.Notices, s.Home, s.Measured = nil, nil, nil
	return s
}
