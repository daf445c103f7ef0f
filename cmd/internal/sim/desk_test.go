package sim

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"vigil"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
)

// desk is a proctor with a dashboard.
type desk struct {
	world *world
	name  string
	line  *line

	mu       sync.Mutex
	board    *client.Proctor
	commands []given
}

// given is a command that a proctor gave.
type given struct {
	id, session string
	kind        vigil.CommandKind
}

// row is what the dashboard shows of a session.
func (d *desk) row(session string) protocol.Row {
	d.mu.Lock()
	board := d.board
	d.mu.Unlock()
	if board == nil {
		return protocol.Row{}
	}
	return board.Row(session)
}

// open opens the dashboard.
func (d *desk) open() {
	d.world.spawn(func() {
		p, err := client.Watch(d.world.ctx, client.Config{
			TokenSource: d.token, Origin: origin, Rand: d.world.dicer(d.name),
			HTTPClient: &http.Client{Transport: &http.Transport{DialContext: d.line.dial, DisableKeepAlives: true}},
			Log:        d.world.log.With("at", d.name),
		})
		if err != nil {
			return // the world ended before
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.board = p
	})
}

func (d *desk) token(ctx context.Context) (client.Token, error) {
	if _, err := d.world.bus.pass(ctx, toWeb, d.name+" asks for a token", d.line.silent.Load); err != nil {
		return client.Token{}, err
	}
	token, expires, err := d.world.tokens.MintSocket(ctx, vigil.SocketClaims{
		Subject: socket.Subject(platformID, d.name), Exam: d.world.exam.ID, Role: vigil.RoleProctor, Name: d.name,
	})
	return client.Token{Token: token, URL: "ws://vigil.example/socket", Expires: expires}, err
}

// command gives a command.
func (d *desk) command(c protocol.CommandUp) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.board == nil {
		return
	}
	c.ID = fmt.Sprintf("%s-command-%04d", d.name, len(d.commands)+1)
	if _, sent := d.board.Command(c); sent {
		for _, id := range c.Targets {
			d.commands = append(d.commands, given{c.ID, id, c.Kind})
		}
	}
}

// lostTime decides on what the ledger proposes.
func (d *desk) lostTime(grant bool, session string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.board != nil {
		d.board.LostTime(grant, session)
	}
}

// chat writes a line to a student.
func (d *desk) chat(session string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.board != nil {
		d.board.Chat(session, "What a proctor writes.")
	}
}

// seen notes that a student's chat and hand are dealt with.
func (d *desk) seen(session string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.board != nil {
		d.board.Seen(session)
	}
}
