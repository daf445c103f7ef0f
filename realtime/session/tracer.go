package session

import "context"

// Tracer follows commands across servers. A command to a session is named by the ids of both, which every
// server that works on it has.
type Tracer interface {
	// Begin begins a step; the function that it returns ends it. The context is for what belongs to the step.
	Begin(ctx context.Context, step Step, session, command string) (context.Context, func(err error))
}

// Step is a part of what is done for a command.
type Step string

// The steps of a command.
const (
	StepCommand  Step = "command"             // it is decided on and stored; the first
	StepStudent  Step = "command to student"  // it is written to the student's socket, and that is stored
	StepPlatform Step = "command to platform" // one try of its request to the platform
)

// Untraced is a Tracer that follows nothing.
type Untraced struct{}

// Begin implements Tracer.
func (Untraced) Begin(ctx context.Context, _ Step, _, _ string) (context.Context, func(error)) {
	return ctx, ended
}

func ended(error) {}
