package web_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"), // of servers' clients, closed a moment later
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
	)
}
