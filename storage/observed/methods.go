package observed

import (
	"context"
	"time"

	"vigil"
	"vigil/storage"
)

// Platform implements storage.Store.
func (st *Store) Platform(ctx context.Context, id string) (_ vigil.Platform, err error) {
	defer st.begin(&ctx, "platform").end(&err)
	return st.next.Platform(ctx, id)
}

// PlatformByClient implements storage.Store.
func (st *Store) PlatformByClient(ctx context.Context, issuer, clientID string) (_ vigil.Platform, err error) {
	defer st.begin(&ctx, "platform_by_client").end(&err)
	return st.next.PlatformByClient(ctx, issuer, clientID)
}

// Platforms implements storage.Store.
func (st *Store) Platforms(ctx context.Context) (_ []vigil.Platform, err error) {
	defer st.begin(&ctx, "platforms").end(&err)
	return st.next.Platforms(ctx)
}

// CreatePlatform implements storage.Store.
func (st *Store) CreatePlatform(ctx context.Context, p vigil.Platform) (err error) {
	defer st.begin(&ctx, "create_platform").end(&err)
	return st.next.CreatePlatform(ctx, p)
}

// UpdatePlatform implements storage.Store.
func (st *Store) UpdatePlatform(ctx context.Context, p vigil.Platform) (err error) {
	defer st.begin(&ctx, "update_platform").end(&err)
	return st.next.UpdatePlatform(ctx, p)
}

// DeletePlatform implements storage.Store.
func (st *Store) DeletePlatform(ctx context.Context, id string) (err error) {
	defer st.begin(&ctx, "delete_platform").end(&err)
	return st.next.DeletePlatform(ctx, id)
}

// Deployment implements storage.Store.
func (st *Store) Deployment(ctx context.Context, platformID, id string) (_ vigil.Deployment, err error) {
	defer st.begin(&ctx, "deployment").end(&err)
	return st.next.Deployment(ctx, platformID, id)
}

// Deployments implements storage.Store.
func (st *Store) Deployments(ctx context.Context, platformID string) (_ []vigil.Deployment, err error) {
	defer st.begin(&ctx, "deployments").end(&err)
	return st.next.Deployments(ctx, platformID)
}

// SaveDeployment implements storage.Store.
func (st *Store) SaveDeployment(ctx context.Context, d vigil.Deployment) (err error) {
	defer st.begin(&ctx, "save_deployment").end(&err)
	return st.next.SaveDeployment(ctx, d)
}

// CreateInvitation implements storage.Store.
func (st *Store) CreateInvitation(ctx context.Context, i vigil.Invitation) (err error) {
	defer st.begin(&ctx, "create_invitation").end(&err)
	return st.next.CreateInvitation(ctx, i)
}

// Invitation implements storage.Store.
func (st *Store) Invitation(ctx context.Context, hash string) (_ vigil.Invitation, err error) {
	defer st.begin(&ctx, "invitation").end(&err)
	return st.next.Invitation(ctx, hash)
}

// TryInvitation implements storage.Store.
func (st *Store) TryInvitation(ctx context.Context, hash string, now time.Time) (_ vigil.Invitation, err error) {
	defer st.begin(&ctx, "try_invitation").end(&err)
	return st.next.TryInvitation(ctx, hash, now)
}

// SpendInvitation implements storage.Store.
func (st *Store) SpendInvitation(ctx context.Context, hash, platformID string, now time.Time) (err error) {
	defer st.begin(&ctx, "spend_invitation").end(&err)
	return st.next.SpendInvitation(ctx, hash, platformID, now)
}

// Keys implements storage.Store.
func (st *Store) Keys(ctx context.Context, use vigil.KeyUse) (_ []vigil.Key, err error) {
	defer st.begin(&ctx, "keys").end(&err)
	return st.next.Keys(ctx, use)
}

// CreateKey implements storage.Store.
func (st *Store) CreateKey(ctx context.Context, k vigil.Key) (err error) {
	defer st.begin(&ctx, "create_key").end(&err)
	return st.next.CreateKey(ctx, k)
}

// UpdateKey implements storage.Store.
func (st *Store) UpdateKey(ctx context.Context, k vigil.Key) (err error) {
	defer st.begin(&ctx, "update_key").end(&err)
	return st.next.UpdateKey(ctx, k)
}

// DeleteKey implements storage.Store.
func (st *Store) DeleteKey(ctx context.Context, id string) (err error) {
	defer st.begin(&ctx, "delete_key").end(&err)
	return st.next.DeleteKey(ctx, id)
}

// CreateRecord implements storage.Store.
func (st *Store) CreateRecord(ctx context.Context, r vigil.Record, now time.Time) (err error) {
	defer st.begin(&ctx, "create_record").end(&err)
	return st.next.CreateRecord(ctx, r, now)
}

// PutRecord implements storage.Store.
func (st *Store) PutRecord(ctx context.Context, r vigil.Record) (err error) {
	defer st.begin(&ctx, "put_record").end(&err)
	return st.next.PutRecord(ctx, r)
}

// GetRecord implements storage.Store.
func (st *Store) GetRecord(ctx context.Context, kind, key string, now time.Time) (_ vigil.Record, err error) {
	defer st.begin(&ctx, "get_record").end(&err)
	return st.next.GetRecord(ctx, kind, key, now)
}

// TakeRecord implements storage.Store.
func (st *Store) TakeRecord(ctx context.Context, kind, key string, now time.Time) (_ vigil.Record, err error) {
	defer st.begin(&ctx, "take_record").end(&err)
	return st.next.TakeRecord(ctx, kind, key, now)
}

// DeleteRecord implements storage.Store.
func (st *Store) DeleteRecord(ctx context.Context, kind, key string) (err error) {
	defer st.begin(&ctx, "delete_record").end(&err)
	return st.next.DeleteRecord(ctx, kind, key)
}

// Exam implements storage.Store.
func (st *Store) Exam(ctx context.Context, id string) (_ vigil.Exam, err error) {
	defer st.begin(&ctx, "exam").end(&err)
	return st.next.Exam(ctx, id)
}

// CreateExam implements storage.Store.
func (st *Store) CreateExam(ctx context.Context, e vigil.Exam) (err error) {
	defer st.begin(&ctx, "create_exam").end(&err)
	return st.next.CreateExam(ctx, e)
}

// UpdateExam implements storage.Store.
func (st *Store) UpdateExam(ctx context.Context, e vigil.Exam) (err error) {
	defer st.begin(&ctx, "update_exam").end(&err)
	return st.next.UpdateExam(ctx, e)
}

// ExamsOfContext implements storage.Store.
func (st *Store) ExamsOfContext(ctx context.Context, issuer, contextID string, page storage.Page) (exams []vigil.Exam, next string, err error) {
	defer st.begin(&ctx, "exams_of_context").end(&err)
	return st.next.ExamsOfContext(ctx, issuer, contextID, page)
}

// Link implements storage.Store.
func (st *Store) Link(ctx context.Context, platformID, deploymentID, resourceLinkID string) (_ vigil.Link, err error) {
	defer st.begin(&ctx, "link").end(&err)
	return st.next.Link(ctx, platformID, deploymentID, resourceLinkID)
}

// CreateLink implements storage.Store.
func (st *Store) CreateLink(ctx context.Context, l vigil.Link) (err error) {
	defer st.begin(&ctx, "create_link").end(&err)
	return st.next.CreateLink(ctx, l)
}

// MoveLinks implements storage.Store.
func (st *Store) MoveLinks(ctx context.Context, from, to string) (_ int, err error) {
	defer st.begin(&ctx, "move_links").end(&err)
	return st.next.MoveLinks(ctx, from, to)
}

// CreateSession implements storage.Store.
func (st *Store) CreateSession(ctx context.Context, s vigil.Session) (err error) {
	defer st.begin(&ctx, "create_session").end(&err)
	return st.next.CreateSession(ctx, s)
}

// Session implements storage.Store.
func (st *Store) Session(ctx context.Context, id string) (_ vigil.Session, err error) {
	defer st.begin(&ctx, "session").end(&err)
	return st.next.Session(ctx, id)
}

// SessionOfAttempt implements storage.Store.
func (st *Store) SessionOfAttempt(ctx context.Context, examID, userID string, attempt int) (_ vigil.Session, err error) {
	defer st.begin(&ctx, "session_of_attempt").end(&err)
	return st.next.SessionOfAttempt(ctx, examID, userID, attempt)
}

// SessionsOfExam implements storage.Store.
func (st *Store) SessionsOfExam(ctx context.Context, examID string, page storage.Page) (sessions []vigil.Session, next string, err error) {
	defer st.begin(&ctx, "sessions_of_exam").end(&err)
	return st.next.SessionsOfExam(ctx, examID, page)
}

// Transition implements storage.Store.
func (st *Store) Transition(ctx context.Context, t storage.Transition) (err error) {
	defer st.begin(&ctx, "transition").end(&err)
	return st.next.Transition(ctx, t)
}

// SetPresence implements storage.Store.
func (st *Store) SetPresence(ctx context.Context, sessionID string, p vigil.Presence) (err error) {
	defer st.begin(&ctx, "set_presence").end(&err)
	return st.next.SetPresence(ctx, sessionID, p)
}

// NextEpoch implements storage.Store.
func (st *Store) NextEpoch(ctx context.Context, sessionID string) (_ int64, err error) {
	defer st.begin(&ctx, "next_epoch").end(&err)
	return st.next.NextEpoch(ctx, sessionID)
}

// Connected implements storage.Store.
func (st *Store) Connected(ctx context.Context, node string, page storage.Page) (sessions []vigil.Session, next string, err error) {
	defer st.begin(&ctx, "connected").end(&err)
	return st.next.Connected(ctx, node, page)
}

// SetGroups implements storage.Store.
func (st *Store) SetGroups(ctx context.Context, sessionID string, groups []vigil.Group, version int64) (err error) {
	defer st.begin(&ctx, "set_groups").end(&err)
	return st.next.SetGroups(ctx, sessionID, groups, version)
}

// SetMonitor implements storage.Store.
func (st *Store) SetMonitor(ctx context.Context, sessionID string, m vigil.Monitor) (err error) {
	defer st.begin(&ctx, "set_monitor").end(&err)
	return st.next.SetMonitor(ctx, sessionID, m)
}

// SetHand implements storage.Store.
func (st *Store) SetHand(ctx context.Context, sessionID string, at time.Time) (err error) {
	defer st.begin(&ctx, "set_hand").end(&err)
	return st.next.SetHand(ctx, sessionID, at)
}

// LeaseDue implements storage.Store.
func (st *Store) LeaseDue(ctx context.Context, now, until time.Time, n int) (_ []vigil.Session, err error) {
	defer st.begin(&ctx, "lease_due").end(&err)
	return st.next.LeaseDue(ctx, now, until, n)
}

// SetDue implements storage.Store.
func (st *Store) SetDue(ctx context.Context, sessionID string, version int64, at time.Time) (err error) {
	defer st.begin(&ctx, "set_due").end(&err)
	return st.next.SetDue(ctx, sessionID, version, at)
}

// PutAccess implements storage.Store.
func (st *Store) PutAccess(ctx context.Context, a vigil.Access) (err error) {
	defer st.begin(&ctx, "put_access").end(&err)
	return st.next.PutAccess(ctx, a)
}

// RenewAccess implements storage.Store.
func (st *Store) RenewAccess(ctx context.Context, a vigil.Access) (err error) {
	defer st.begin(&ctx, "renew_access").end(&err)
	return st.next.RenewAccess(ctx, a)
}

// Access implements storage.Store.
func (st *Store) Access(ctx context.Context, examID, userID string) (_ vigil.Access, err error) {
	defer st.begin(&ctx, "access").end(&err)
	return st.next.Access(ctx, examID, userID)
}

// AccessOfExam implements storage.Store.
func (st *Store) AccessOfExam(ctx context.Context, examID string, page storage.Page) (records []vigil.Access, next string, err error) {
	defer st.begin(&ctx, "access_of_exam").end(&err)
	return st.next.AccessOfExam(ctx, examID, page)
}

// AccessOfUser implements storage.Store.
func (st *Store) AccessOfUser(ctx context.Context, issuer, userID string) (_ []vigil.Access, err error) {
	defer st.begin(&ctx, "access_of_user").end(&err)
	return st.next.AccessOfUser(ctx, issuer, userID)
}

// AppendSignals implements storage.Store.
func (st *Store) AppendSignals(ctx context.Context, signals []vigil.Signal) (_ []storage.Appended, err error) {
	defer st.begin(&ctx, "append_signals").end(&err)
	return st.next.AppendSignals(ctx, signals)
}

// SignalsOfSession implements storage.Store.
func (st *Store) SignalsOfSession(ctx context.Context, sessionID string, page storage.Page) (signals []vigil.Signal, next string, err error) {
	defer st.begin(&ctx, "signals_of_session").end(&err)
	return st.next.SignalsOfSession(ctx, sessionID, page)
}

// StreamState implements storage.Store.
func (st *Store) StreamState(ctx context.Context, sessionID, stream string) (count, highest int64, err error) {
	defer st.begin(&ctx, "stream_state").end(&err)
	return st.next.StreamState(ctx, sessionID, stream)
}

// IncidentsOfExam implements storage.Store.
func (st *Store) IncidentsOfExam(ctx context.Context, examID string, page storage.Page) (incidents []vigil.Incident, next string, err error) {
	defer st.begin(&ctx, "incidents_of_exam").end(&err)
	return st.next.IncidentsOfExam(ctx, examID, page)
}

// IncidentsOfSession implements storage.Store.
func (st *Store) IncidentsOfSession(ctx context.Context, sessionID string, page storage.Page) (incidents []vigil.Incident, next string, err error) {
	defer st.begin(&ctx, "incidents_of_session").end(&err)
	return st.next.IncidentsOfSession(ctx, sessionID, page)
}

// Incident implements storage.Store.
func (st *Store) Incident(ctx context.Context, sessionID, id string) (_ vigil.Incident, err error) {
	defer st.begin(&ctx, "incident").end(&err)
	return st.next.Incident(ctx, sessionID, id)
}

// UpdateIncident implements storage.Store.
func (st *Store) UpdateIncident(ctx context.Context, i vigil.Incident) (err error) {
	defer st.begin(&ctx, "update_incident").end(&err)
	return st.next.UpdateIncident(ctx, i)
}

// CreateGap implements storage.Store.
func (st *Store) CreateGap(ctx context.Context, g vigil.Gap) (err error) {
	defer st.begin(&ctx, "create_gap").end(&err)
	return st.next.CreateGap(ctx, g)
}

// UpdateGap implements storage.Store.
func (st *Store) UpdateGap(ctx context.Context, g vigil.Gap) (err error) {
	defer st.begin(&ctx, "update_gap").end(&err)
	return st.next.UpdateGap(ctx, g)
}

// GapsOfSession implements storage.Store.
func (st *Store) GapsOfSession(ctx context.Context, sessionID string) (_ []vigil.Gap, err error) {
	defer st.begin(&ctx, "gaps_of_session").end(&err)
	return st.next.GapsOfSession(ctx, sessionID)
}

// GapsOfExam implements storage.Store.
func (st *Store) GapsOfExam(ctx context.Context, examID string, page storage.Page) (gaps []vigil.Gap, next string, err error) {
	defer st.begin(&ctx, "gaps_of_exam").end(&err)
	return st.next.GapsOfExam(ctx, examID, page)
}

// Command implements storage.Store.
func (st *Store) Command(ctx context.Context, sessionID, id string) (_ vigil.Command, err error) {
	defer st.begin(&ctx, "command").end(&err)
	return st.next.Command(ctx, sessionID, id)
}

// UpdateCommand implements storage.Store.
func (st *Store) UpdateCommand(ctx context.Context, c vigil.Command) (err error) {
	defer st.begin(&ctx, "update_command").end(&err)
	return st.next.UpdateCommand(ctx, c)
}

// CommandsOfSession implements storage.Store.
func (st *Store) CommandsOfSession(ctx context.Context, sessionID string, page storage.Page) (commands []vigil.Command, next string, err error) {
	defer st.begin(&ctx, "commands_of_session").end(&err)
	return st.next.CommandsOfSession(ctx, sessionID, page)
}

// CommandsOfExam implements storage.Store.
func (st *Store) CommandsOfExam(ctx context.Context, examID string, since time.Time, page storage.Page) (commands []vigil.Command, next string, err error) {
	defer st.begin(&ctx, "commands_of_exam").end(&err)
	return st.next.CommandsOfExam(ctx, examID, since, page)
}

// LeaseDeliveries implements storage.Store.
func (st *Store) LeaseDeliveries(ctx context.Context, owner string, now time.Time, n int) (_ []vigil.Delivery, err error) {
	defer st.begin(&ctx, "lease_deliveries").end(&err)
	return st.next.LeaseDeliveries(ctx, owner, now, n)
}

// SaveDelivery implements storage.Store.
func (st *Store) SaveDelivery(ctx context.Context, d vigil.Delivery, owner string) (err error) {
	defer st.begin(&ctx, "save_delivery").end(&err)
	return st.next.SaveDelivery(ctx, d, owner)
}

// WaitingDeliveries implements storage.Store.
func (st *Store) WaitingDeliveries(ctx context.Context) (n int, oldest time.Time, err error) {
	defer st.begin(&ctx, "waiting_deliveries").end(&err)
	return st.next.WaitingDeliveries(ctx)
}

// AddChat implements storage.Store.
func (st *Store) AddChat(ctx context.Context, l vigil.ChatLine) (err error) {
	defer st.begin(&ctx, "add_chat").end(&err)
	return st.next.AddChat(ctx, l)
}

// ChatOfSession implements storage.Store.
func (st *Store) ChatOfSession(ctx context.Context, sessionID string, page storage.Page) (lines []vigil.ChatLine, next string, err error) {
	defer st.begin(&ctx, "chat_of_session").end(&err)
	return st.next.ChatOfSession(ctx, sessionID, page)
}

// ReadChat implements storage.Store.
func (st *Store) ReadChat(ctx context.Context, sessionID string) (err error) {
	defer st.begin(&ctx, "read_chat").end(&err)
	return st.next.ReadChat(ctx, sessionID)
}

// AppendAudit implements storage.Store.
func (st *Store) AppendAudit(ctx context.Context, entries ...vigil.Audit) (err error) {
	defer st.begin(&ctx, "append_audit").end(&err)
	return st.next.AppendAudit(ctx, entries...)
}

// AuditOfExam implements storage.Store.
func (st *Store) AuditOfExam(ctx context.Context, examID string, page storage.Page) (entries []vigil.Audit, next string, err error) {
	defer st.begin(&ctx, "audit_of_exam").end(&err)
	return st.next.AuditOfExam(ctx, examID, page)
}

// PutAuditCheckpoint implements storage.Store.
func (st *Store) PutAuditCheckpoint(ctx context.Context, c vigil.AuditCheckpoint) (err error) {
	defer st.begin(&ctx, "put_audit_checkpoint").end(&err)
	return st.next.PutAuditCheckpoint(ctx, c)
}

// AuditCheckpoints implements storage.Store.
func (st *Store) AuditCheckpoints(ctx context.Context, examID string) (_ []vigil.AuditCheckpoint, err error) {
	defer st.begin(&ctx, "audit_checkpoints").end(&err)
	return st.next.AuditCheckpoints(ctx, examID)
}

// SessionsOfUser implements storage.Store.
func (st *Store) SessionsOfUser(ctx context.Context, issuer, userID string) (_ []vigil.Session, err error) {
	defer st.begin(&ctx, "sessions_of_user").end(&err)
	return st.next.SessionsOfUser(ctx, issuer, userID)
}

// EraseUser implements storage.Store.
func (st *Store) EraseUser(ctx context.Context, issuer, userID string) (_ int, err error) {
	defer st.begin(&ctx, "erase_user").end(&err)
	return st.next.EraseUser(ctx, issuer, userID)
}

// EraseAttempt implements storage.Store.
func (st *Store) EraseAttempt(ctx context.Context, issuer, userID, examID string, attempt int) (_ int, err error) {
	defer st.begin(&ctx, "erase_attempt").end(&err)
	return st.next.EraseAttempt(ctx, issuer, userID, examID, attempt)
}

// Erasures implements storage.Store.
func (st *Store) Erasures(ctx context.Context, page storage.Page) (entries []vigil.Erasure, next string, err error) {
	defer st.begin(&ctx, "erasures").end(&err)
	return st.next.Erasures(ctx, page)
}

// AddErasure implements storage.Store.
func (st *Store) AddErasure(ctx context.Context, e vigil.Erasure) (err error) {
	defer st.begin(&ctx, "add_erasure").end(&err)
	return st.next.AddErasure(ctx, e)
}

// RenewNode implements storage.Store.
func (st *Store) RenewNode(ctx context.Context, n storage.Node) (err error) {
	defer st.begin(&ctx, "renew_node").end(&err)
	return st.next.RenewNode(ctx, n)
}

// Nodes implements storage.Store.
func (st *Store) Nodes(ctx context.Context) (_ []storage.Node, err error) {
	defer st.begin(&ctx, "nodes").end(&err)
	return st.next.Nodes(ctx)
}

// DeleteNode implements storage.Store.
func (st *Store) DeleteNode(ctx context.Context, id string) (err error) {
	defer st.begin(&ctx, "delete_node").end(&err)
	return st.next.DeleteNode(ctx, id)
}

// CheckSchema implements storage.Store.
func (st *Store) CheckSchema(ctx context.Context) (err error) {
	defer st.begin(&ctx, "check_schema").end(&err)
	return st.next.CheckSchema(ctx)
}

// Ping implements storage.Store.
func (st *Store) Ping(ctx context.Context) (err error) {
	defer st.begin(&ctx, "ping").end(&err)
	return st.next.Ping(ctx)
}

// Sweep implements storage.Store.
func (st *Store) Sweep(ctx context.Context, now time.Time, n int) (_ int, err error) {
	defer st.begin(&ctx, "sweep").end(&err)
	return st.next.Sweep(ctx, now, n)
}
