package dataplane

func (s *stack) startAuthz()   {}
func (s *stack) startSpawner() {}
