DROP INDEX `events_by_position`;--> statement-breakpoint
DROP INDEX `events_of_tenant`;--> statement-breakpoint
DROP INDEX `events_by_user`;--> statement-breakpoint
CREATE INDEX `events_unplaced` ON `events` (`tenant_id`,`event_id`) WHERE "events"."position" is null;--> statement-breakpoint
CREATE UNIQUE INDEX `events_of_tenant` ON `events` (`tenant_id`,`position`) WHERE "events"."position" is not null;--> statement-breakpoint
CREATE INDEX `events_by_user` ON `events` (`tenant_id`,`user_id`,`create_time`,`type`);--> statement-breakpoint
DROP INDEX `risk_decisions_by_user`;--> statement-breakpoint
CREATE INDEX `risk_decisions_by_user` ON `risk_decisions` (`tenant_id`,`user_id`,`create_time`,`decision_id`);--> statement-breakpoint
CREATE INDEX `attempts_by_end` ON `attempts` (`update_time`) WHERE "attempts"."failures" = 0 and "attempts"."consecutive_failures" = 0;--> statement-breakpoint
CREATE INDEX `budgets_by_end` ON `budgets` (`update_time`);--> statement-breakpoint
CREATE INDEX `outbox_messages_by_time` ON `outbox_messages` (`tenant_id`,`create_time`,`message_id`);--> statement-breakpoint
CREATE INDEX `outbox_messages_by_end` ON `outbox_messages` (`update_time`) WHERE "outbox_messages"."state" <> 'queued';--> statement-breakpoint
CREATE INDEX `send_decisions_by_end` ON `send_decisions` (`create_time`);--> statement-breakpoint
CREATE INDEX `push_devices_revoked` ON `push_devices` (`update_time`) WHERE "push_devices"."state" = 'revoked';--> statement-breakpoint
CREATE INDEX `push_challenges_by_end` ON `push_challenges` (`create_time`);--> statement-breakpoint
CREATE INDEX `push_blocks_by_end` ON `push_blocks` (`hour`);--> statement-breakpoint
CREATE INDEX `task_runs_by_end` ON `task_runs` (`end_time`);--> statement-breakpoint
CREATE INDEX `approvals_by_end` ON `approvals` (`expire_time`);