DROP INDEX "events_by_position";--> statement-breakpoint
DROP INDEX "events_of_tenant";--> statement-breakpoint
DROP INDEX "events_by_user";--> statement-breakpoint
DROP INDEX "risk_decisions_by_user";--> statement-breakpoint
CREATE INDEX "attempts_by_end" ON "attempts" USING btree ("update_time") WHERE "attempts"."failures" = 0 and "attempts"."consecutive_failures" = 0;--> statement-breakpoint
CREATE INDEX "budgets_by_end" ON "budgets" USING btree ("update_time");--> statement-breakpoint
CREATE INDEX "events_unplaced" ON "events" USING btree ("tenant_id","event_id") WHERE "events"."position" is null;--> statement-breakpoint
CREATE INDEX "outbox_messages_by_time" ON "outbox_messages" USING btree ("tenant_id","create_time","message_id");--> statement-breakpoint
CREATE INDEX "outbox_messages_by_end" ON "outbox_messages" USING btree ("update_time") WHERE "outbox_messages"."state" <> 'queued';--> statement-breakpoint
CREATE INDEX "send_decisions_by_end" ON "send_decisions" USING btree ("create_time");--> statement-breakpoint
CREATE INDEX "push_devices_revoked" ON "push_devices" USING btree ("update_time") WHERE "push_devices"."state" = 'revoked';--> statement-breakpoint
CREATE INDEX "push_challenges_by_end" ON "push_challenges" USING btree ("create_time");--> statement-breakpoint
CREATE INDEX "push_blocks_by_end" ON "push_blocks" USING btree ("hour");--> statement-breakpoint
CREATE INDEX "task_runs_by_end" ON "task_runs" USING btree ("end_time");--> statement-breakpoint
CREATE INDEX "approvals_by_end" ON "approvals" USING btree ("expire_time");--> statement-breakpoint
CREATE UNIQUE INDEX "events_of_tenant" ON "events" USING btree ("tenant_id","position") WHERE "events"."position" is not null;--> statement-breakpoint
CREATE INDEX "events_by_user" ON "events" USING btree ("tenant_id","user_id","create_time","type");--> statement-breakpoint
CREATE INDEX "risk_decisions_by_user" ON "risk_decisions" USING btree ("tenant_id","user_id","create_time","decision_id");