package main
import ("context";"log/slog";"vigil/lti/ltitest/lms")
type crowd struct{ tool string; log *slog.Logger; lms *lms.LMS }
func (c *crowd) add(context.Context, int) error { return nil }
func (c *crowd) wait() {}
