ALTER TABLE `attempts` ADD `count_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `attempts` ADD `consecutive_failures` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `attempts` ADD `recent` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `attempts` ADD `lock_time` integer;--> statement-breakpoint
CREATE INDEX `attempts_by_lock` ON `attempts` (`tenant_id`,`lock_expire_time`) WHERE "attempts"."lock_expire_time" is not null;