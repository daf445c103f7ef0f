package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/coder/websocket"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime/client"
)

// A student's client keeps each signal until the server has stored it. Here the connection
// breaks before that: the client comes back by itself and sends the signal again.
func Example() {
	server := httptest.NewServer(forgetful())
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), testutil.Patience)
	defer cancel()

	student, err := client.Dial(ctx, client.Config{
		// A browser asks its token endpoint; docs/protocol.md says which.
		TokenSource: func(context.Context) (client.Token, error) {
			return client.Token{Token: "made-up", URL: "ws" + strings.TrimPrefix(server.URL, "http")}, nil
		},
		BackoffFirst: time.Millisecond, // half a second otherwise
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer student.Close()

	student.Signal(vigil.KindBlur, 3*time.Second, nil)
	if err := student.Settled(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d signal stored, after %d connections\n", student.Counts().Acked, student.Connects())

	// Output:
	// 1 signal stored, after 2 connections
}

// forgetful is a server that ends its first connection when a signal comes, and stores what
// comes over the next one.
func forgetful() http.Handler {
	first := make(chan bool, 1)
	first <- true
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"vigil.v1"}})
		if err != nil {
			return
		}
		defer func() { _ = ws.CloseNow() }()
		say := func(frame string) { _ = ws.Write(r.Context(), websocket.MessageText, []byte(frame)) }
		say(`{"t":"welcome","role":"student","session":"s","state":"active","now":1,"epoch":1,"version":1,"ping":10000}`)
		stream := ""
		for {
			_, message, err := ws.Read(r.Context())
			if err != nil {
				return
			}
			var frame struct {
				T      string `json:"t"`
				Stream string `json:"stream"`
				Seq    int64  `json:"seq"`
			}
			if err := json.Unmarshal(message, &frame); err != nil {
				return
			}
			switch frame.T {
			case "hello":
				stream = frame.Stream
			case "signal":
				select {
				case <-first:
					return
				default:
					say(fmt.Sprintf(`{"t":"ack","stream":%q,"seqs":[%d]}`, stream, frame.Seq))
				}
			}
		}
	})
}
