PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE IF NOT EXISTS "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO _sqlite_migrations VALUES(1,'tinyllm','m001_first','2026-11-30 09:21:02.641822+00:00');
INSERT INTO _sqlite_migrations VALUES(2,'tinyllm','m002_hosted','2026-11-30 09:21:02.643239+00:00');
INSERT INTO _sqlite_migrations VALUES(3,'tinyllm','m003_batches','2026-11-30 09:21:02.643764+00:00');
INSERT INTO _sqlite_migrations VALUES(4,'tinyllm','m004_prompts_in_order','2026-11-30 09:21:02.644890+00:00');
INSERT INTO _sqlite_migrations VALUES(5,'tinyllm','m005_verdicts','2026-11-30 09:21:02.645259+00:00');
INSERT INTO _sqlite_migrations VALUES(6,'tinyllm','m006_cut','2026-11-30 09:21:02.645594+00:00');
CREATE TABLE datasets (
    name TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    imported TEXT NOT NULL
) STRICT;
INSERT INTO datasets VALUES('toy','/home/ann/project/toy','193c12a9454e3e61','2026-11-30T09:21:02.690+00:00');
CREATE TABLE questions (
    hash TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    options TEXT NOT NULL, -- JSON array of texts
    answer INTEGER NOT NULL, -- index into options
    context TEXT
) STRICT;
INSERT INTO questions VALUES('0124d921d61b842a2bdc3138608f9072','Which of these is number 0 of test?','["thing 0 a", "thing 0 b", "thing 0 c", "thing 0 d"]',0,NULL);
INSERT INTO questions VALUES('34313b0b65eda2f6298fb4d01753e525','Which of these is number 1 of test?','["thing 1 a", "thing 1 b", "thing 1 c", "thing 1 d"]',1,NULL);
INSERT INTO questions VALUES('3722a6cd4f097f4f8569bf3ccf0123a4','Which of these is number 2 of test?','["thing 2 a", "thing 2 b", "thing 2 c", "thing 2 d"]',2,NULL);
INSERT INTO questions VALUES('333497df942d7dc1a798fa6934f2cf27','Which of these is number 3 of test?','["thing 3 a", "thing 3 b", "thing 3 c", "thing 3 d"]',3,NULL);
INSERT INTO questions VALUES('cb3a7af723878ce4aa24d6428cca8787','Which of these is number 0 of train?','["thing 0 a", "thing 0 b", "thing 0 c", "thing 0 d"]',0,NULL);
INSERT INTO questions VALUES('f9218aa3b1f17d351c5c84f137355c16','Which of these is number 1 of train?','["thing 1 a", "thing 1 b", "thing 1 c", "thing 1 d"]',1,NULL);
INSERT INTO questions VALUES('52152d37a720ba45e146acd8ddbb475e','Which of these is number 2 of train?','["thing 2 a", "thing 2 b", "thing 2 c", "thing 2 d"]',2,NULL);
INSERT INTO questions VALUES('d1d0082d37c38ee9ec90ea49145931df','Which of these is number 3 of train?','["thing 3 a", "thing 3 b", "thing 3 c", "thing 3 d"]',3,NULL);
INSERT INTO questions VALUES('51f581c0712c79999c08086405045892','Which of these is number 4 of train?','["thing 4 a", "thing 4 b", "thing 4 c", "thing 4 d"]',0,NULL);
INSERT INTO questions VALUES('c3177011a87b3211c1811afb04e65406','Which of these is number 5 of train?','["thing 5 a", "thing 5 b", "thing 5 c", "thing 5 d"]',1,NULL);
INSERT INTO questions VALUES('f810329053791fbe6115d4ae10bf26ca','Which of these is number 6 of train?','["thing 6 a", "thing 6 b", "thing 6 c", "thing 6 d"]',2,NULL);
INSERT INTO questions VALUES('cffe040456683d2a77c5fecdc78bd054','Which of these is number 7 of train?','["thing 7 a", "thing 7 b", "thing 7 c", "thing 7 d"]',3,NULL);
INSERT INTO questions VALUES('8bc52d01a7d75344063ba214ac757821','Which of these is number 0 of valid?','["thing 0 a", "thing 0 b", "thing 0 c", "thing 0 d"]',0,NULL);
INSERT INTO questions VALUES('e7d35e983542a4cd6b65964a9eda7049','Which of these is number 1 of valid?','["thing 1 a", "thing 1 b", "thing 1 c", "thing 1 d"]',1,NULL);
INSERT INTO questions VALUES('c474a074041a892ebf697ec81e6bd296','Which of these is number 2 of valid?','["thing 2 a", "thing 2 b", "thing 2 c", "thing 2 d"]',2,NULL);
INSERT INTO questions VALUES('c737de03f06c025fbada8c618d74be28','Which of these is number 3 of valid?','["thing 3 a", "thing 3 b", "thing 3 c", "thing 3 d"]',3,NULL);
CREATE TABLE dataset_questions (
    dataset TEXT NOT NULL REFERENCES datasets(name),
    split TEXT NOT NULL,
    position INTEGER NOT NULL,
    key TEXT NOT NULL,
    question TEXT NOT NULL REFERENCES questions(hash),
    PRIMARY KEY (dataset, split, position),
    UNIQUE (dataset, split, key)
) STRICT, WITHOUT ROWID;
INSERT INTO dataset_questions VALUES('toy','test',0,'test-0','0124d921d61b842a2bdc3138608f9072');
INSERT INTO dataset_questions VALUES('toy','test',1,'test-1','34313b0b65eda2f6298fb4d01753e525');
INSERT INTO dataset_questions VALUES('toy','test',2,'test-2','3722a6cd4f097f4f8569bf3ccf0123a4');
INSERT INTO dataset_questions VALUES('toy','test',3,'test-3','333497df942d7dc1a798fa6934f2cf27');
INSERT INTO dataset_questions VALUES('toy','train',0,'train-0','cb3a7af723878ce4aa24d6428cca8787');
INSERT INTO dataset_questions VALUES('toy','train',1,'train-1','f9218aa3b1f17d351c5c84f137355c16');
INSERT INTO dataset_questions VALUES('toy','train',2,'train-2','52152d37a720ba45e146acd8ddbb475e');
INSERT INTO dataset_questions VALUES('toy','train',3,'train-3','d1d0082d37c38ee9ec90ea49145931df');
INSERT INTO dataset_questions VALUES('toy','train',4,'train-4','51f581c0712c79999c08086405045892');
INSERT INTO dataset_questions VALUES('toy','train',5,'train-5','c3177011a87b3211c1811afb04e65406');
INSERT INTO dataset_questions VALUES('toy','train',6,'train-6','f810329053791fbe6115d4ae10bf26ca');
INSERT INTO dataset_questions VALUES('toy','train',7,'train-7','cffe040456683d2a77c5fecdc78bd054');
INSERT INTO dataset_questions VALUES('toy','valid',0,'valid-0','8bc52d01a7d75344063ba214ac757821');
INSERT INTO dataset_questions VALUES('toy','valid',1,'valid-1','e7d35e983542a4cd6b65964a9eda7049');
INSERT INTO dataset_questions VALUES('toy','valid',2,'valid-2','c474a074041a892ebf697ec81e6bd296');
INSERT INTO dataset_questions VALUES('toy','valid',3,'valid-3','c737de03f06c025fbada8c618d74be28');
CREATE TABLE samplings (
    hash TEXT PRIMARY KEY,
    backend TEXT NOT NULL,
    model TEXT NOT NULL,
    revision TEXT NOT NULL,
    temperature REAL NOT NULL,
    top_p REAL NOT NULL,
    max_tokens INTEGER NOT NULL,
    stop TEXT NOT NULL, -- JSON array
    seed INTEGER NOT NULL,
    engine TEXT NOT NULL DEFAULT '{}' -- JSON: library versions, dtype, device
) STRICT;
INSERT INTO samplings VALUES('3906dde89c78d4f48888f8c70dfa29f2','scripted','scripted','0239bdc0590f',0.0,1.0,256,'["\nQuestion:", "\nQ:", "\nOptions:", "\nAnswer Choices:"]',0,'{"replies": 1}');
INSERT INTO samplings VALUES('0fc7fc49410fac719983019237a622f0','scripted','scripted','3bfcdbfdf8dd',0.69999999999999995559,1.0,256,'["\nQuestion:", "\nQ:", "\nOptions:", "\nAnswer Choices:"]',0,'{"replies": 1}');
INSERT INTO samplings VALUES('ab5ff08beb3d567aad370eb2b36bd751','recorded','recorded','',0.0,1.0,0,'[]',0,'{"files": ["boss.jsonl"]}');
INSERT INTO samplings VALUES('41da311bd8b54121a2ab51c8fe549d67','scripted','scripted','0cd0af52d7a4',0.69999999999999995559,1.0,256,'[]',0,'{}');
CREATE TABLE rationales (
    id INTEGER PRIMARY KEY,
    question TEXT NOT NULL REFERENCES questions(hash),
    teacher TEXT NOT NULL,
    prompt TEXT NOT NULL REFERENCES prompts(hash),
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    sample INTEGER NOT NULL,
    text TEXT NOT NULL, -- raw, as the teacher wrote it
    finish_reason TEXT NOT NULL,
    answer INTEGER, -- an option index that the source states beside the text
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    seconds REAL,
    cost REAL, -- NULL when unknown, never 0 for unknown
    created TEXT NOT NULL, reasoning TEXT, attempts INTEGER NOT NULL DEFAULT 1, last_error TEXT, cap INTEGER,
    UNIQUE (question, teacher, prompt, sampling, sample)
) STRICT;
INSERT INTO rationales VALUES(1,'cb3a7af723878ce4aa24d6428cca8787','parrot','b03fb84cbb7fa3b1236d29dad60cbe63','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,115,17,0.0,NULL,'2026-11-30T09:21:03.121+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(2,'f9218aa3b1f17d351c5c84f137355c16','parrot','0d3ee4c194063911c234eb77d985f95b','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,115,17,0.0,NULL,'2026-11-30T09:21:03.121+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(3,'52152d37a720ba45e146acd8ddbb475e','parrot','f0dfa4562e68893523691449f58d6330','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,115,17,0.0,NULL,'2026-11-30T09:21:03.122+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(4,'d1d0082d37c38ee9ec90ea49145931df','parrot','f464f30ea67ddb6e65e4a84b703d9a74','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,115,17,0.0,NULL,'2026-11-30T09:21:03.123+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(5,'51f581c0712c79999c08086405045892','parrot','686f33402e801e11d4e8c10117974df1','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,115,17,0.0,NULL,'2026-11-30T09:21:03.123+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(6,'c3177011a87b3211c1811afb04e65406','parrot','60a89f50dc493b427ce48cc8b5915491','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,115,17,0.0,NULL,'2026-11-30T09:21:03.123+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(7,'f810329053791fbe6115d4ae10bf26ca','parrot','a7743a5f134c0fe93949bf239028844a','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,115,17,0.0,NULL,'2026-11-30T09:21:03.124+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(8,'cffe040456683d2a77c5fecdc78bd054','parrot','6925aaafe64414bc674a51a308d5aed4','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,115,17,0.0,NULL,'2026-11-30T09:21:03.124+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(9,'cb3a7af723878ce4aa24d6428cca8787','owl','b03fb84cbb7fa3b1236d29dad60cbe63','0fc7fc49410fac719983019237a622f0',0,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.640+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(10,'cb3a7af723878ce4aa24d6428cca8787','owl','b03fb84cbb7fa3b1236d29dad60cbe63','0fc7fc49410fac719983019237a622f0',1,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.640+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(11,'f9218aa3b1f17d351c5c84f137355c16','owl','0d3ee4c194063911c234eb77d985f95b','0fc7fc49410fac719983019237a622f0',0,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.641+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(12,'f9218aa3b1f17d351c5c84f137355c16','owl','0d3ee4c194063911c234eb77d985f95b','0fc7fc49410fac719983019237a622f0',1,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.641+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(13,'52152d37a720ba45e146acd8ddbb475e','owl','f0dfa4562e68893523691449f58d6330','0fc7fc49410fac719983019237a622f0',0,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.642+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(14,'52152d37a720ba45e146acd8ddbb475e','owl','f0dfa4562e68893523691449f58d6330','0fc7fc49410fac719983019237a622f0',1,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.642+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(15,'d1d0082d37c38ee9ec90ea49145931df','owl','f464f30ea67ddb6e65e4a84b703d9a74','0fc7fc49410fac719983019237a622f0',0,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.643+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(16,'d1d0082d37c38ee9ec90ea49145931df','owl','f464f30ea67ddb6e65e4a84b703d9a74','0fc7fc49410fac719983019237a622f0',1,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.643+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(17,'51f581c0712c79999c08086405045892','owl','686f33402e801e11d4e8c10117974df1','0fc7fc49410fac719983019237a622f0',0,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.644+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(18,'51f581c0712c79999c08086405045892','owl','686f33402e801e11d4e8c10117974df1','0fc7fc49410fac719983019237a622f0',1,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.644+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(19,'c3177011a87b3211c1811afb04e65406','owl','60a89f50dc493b427ce48cc8b5915491','0fc7fc49410fac719983019237a622f0',0,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.645+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(20,'c3177011a87b3211c1811afb04e65406','owl','60a89f50dc493b427ce48cc8b5915491','0fc7fc49410fac719983019237a622f0',1,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.645+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(21,'f810329053791fbe6115d4ae10bf26ca','owl','a7743a5f134c0fe93949bf239028844a','0fc7fc49410fac719983019237a622f0',0,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.645+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(22,'f810329053791fbe6115d4ae10bf26ca','owl','a7743a5f134c0fe93949bf239028844a','0fc7fc49410fac719983019237a622f0',1,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.646+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(23,'cffe040456683d2a77c5fecdc78bd054','owl','6925aaafe64414bc674a51a308d5aed4','0fc7fc49410fac719983019237a622f0',0,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.646+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(24,'cffe040456683d2a77c5fecdc78bd054','owl','6925aaafe64414bc674a51a308d5aed4','0fc7fc49410fac719983019237a622f0',1,'Only this one fits the number. The others are plainly wrong. Answer: (b)','stop',NULL,115,13,0.0,NULL,'2026-11-30T09:21:03.646+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(25,'cb3a7af723878ce4aa24d6428cca8787','parrot','2eed27b92483ac547dd64abd782b4118','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,53,17,0.0,NULL,'2026-11-30T09:21:04.144+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(26,'f9218aa3b1f17d351c5c84f137355c16','parrot','29787e736b08a21fbba9ab84619ae010','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,53,17,0.0,NULL,'2026-11-30T09:21:04.145+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(27,'52152d37a720ba45e146acd8ddbb475e','parrot','f4e4ca3fe032c8e022b3dced7c7e605f','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,53,17,0.0,NULL,'2026-11-30T09:21:04.145+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(28,'d1d0082d37c38ee9ec90ea49145931df','parrot','2e2d1617f159fb511e4a847329ea9164','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,53,17,0.0,NULL,'2026-11-30T09:21:04.146+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(29,'51f581c0712c79999c08086405045892','parrot','5131fb3e4c1e20996aac35eb865fe403','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,53,17,0.0,NULL,'2026-11-30T09:21:04.146+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(30,'c3177011a87b3211c1811afb04e65406','parrot','5eee3aaf54057e2c620a558dab933f20','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,53,17,0.0,NULL,'2026-11-30T09:21:04.147+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(31,'f810329053791fbe6115d4ae10bf26ca','parrot','d2d50679e1247785f33af9c9861c1d12','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,53,17,0.0,NULL,'2026-11-30T09:21:04.147+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(32,'cffe040456683d2a77c5fecdc78bd054','parrot','9606ce490d69368e3fc21c927e8e42a8','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,53,17,0.0,NULL,'2026-11-30T09:21:04.148+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(33,'cb3a7af723878ce4aa24d6428cca8787','parrot','49aef29b14000975163ee4194603ae50','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:04.666+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(34,'f9218aa3b1f17d351c5c84f137355c16','parrot','e867f0319b69ee8acfb8e32d7f2e9c71','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:04.667+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(35,'52152d37a720ba45e146acd8ddbb475e','parrot','1ab1a0fd2393ee0df0b2660673a6aca5','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:04.667+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(36,'d1d0082d37c38ee9ec90ea49145931df','parrot','26bb46b3985020633746898781733ef9','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:04.668+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(37,'51f581c0712c79999c08086405045892','parrot','b90c0feb2535a8792a01fa67ec6a179a','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:04.668+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(38,'c3177011a87b3211c1811afb04e65406','parrot','01567d82d62f85def20d0d85530d5bd6','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:04.669+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(39,'f810329053791fbe6115d4ae10bf26ca','parrot','8d4d1ae4d8bb8f0614f4fbdebc475622','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:04.669+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(40,'cffe040456683d2a77c5fecdc78bd054','parrot','e26e1ae37e653897040576e58a19fc5f','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:04.670+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(41,'8bc52d01a7d75344063ba214ac757821','parrot','596ef8aa80c7d8419ddf47bde7b1d798','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:05.219+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(42,'e7d35e983542a4cd6b65964a9eda7049','parrot','1b511b822d9509b85518c247692664e0','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:05.220+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(43,'c474a074041a892ebf697ec81e6bd296','parrot','08129ee332c0c0717ecdf86a3ba4c0fa','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:05.221+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(44,'c737de03f06c025fbada8c618d74be28','parrot','8453de2140a200fcca4c780534f61962','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:05.221+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(45,'0124d921d61b842a2bdc3138608f9072','parrot','51e53958f817eda2c76bd42ebc7267bf','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:06.068+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(46,'34313b0b65eda2f6298fb4d01753e525','parrot','16abecd5fa52bc769a28f4f225539ba9','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:06.069+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(47,'3722a6cd4f097f4f8569bf3ccf0123a4','parrot','03b04c514580f8cbedc932f11e630a8d','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:06.070+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(48,'333497df942d7dc1a798fa6934f2cf27','parrot','91a8cabdcc5176034ee9533cea017e73','3906dde89c78d4f48888f8c70dfa29f2',0,'It follows from what the thing is for, and only this one fits the number. Answer: (a)','stop',NULL,123,17,0.0,NULL,'2026-11-30T09:21:06.070+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(49,'cb3a7af723878ce4aa24d6428cca8787','boss','e07bda45a982639f326e04438de39e08','ab5ff08beb3d567aad370eb2b36bd751',0,'Because thing 0 fits.','recorded',0,NULL,NULL,NULL,NULL,'2026-11-30T09:21:06.701+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(50,'f9218aa3b1f17d351c5c84f137355c16','boss','d653c8aeff8cab3c9b3c3b568db9494a','ab5ff08beb3d567aad370eb2b36bd751',0,'Because thing 1 fits.','recorded',1,NULL,NULL,NULL,NULL,'2026-11-30T09:21:06.701+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(51,'52152d37a720ba45e146acd8ddbb475e','boss','f4859a36eeb1b242e85bb6845c29a8f2','ab5ff08beb3d567aad370eb2b36bd751',0,'Because thing 2 fits.','recorded',2,NULL,NULL,NULL,NULL,'2026-11-30T09:21:06.701+00:00',NULL,1,NULL,NULL);
INSERT INTO rationales VALUES(52,'f9218aa3b1f17d351c5c84f137355c16','fox','29787e736b08a21fbba9ab84619ae010','41da311bd8b54121a2ab51c8fe549d67',0,'Thinking. So it is (b).','stop',NULL,7,9,1.5,0.5,'2026-11-30T09:21:13.220+00:00','Thinking.',2,'HTTP 429',512);
CREATE TABLE failures (
    question TEXT NOT NULL REFERENCES questions(hash),
    teacher TEXT NOT NULL,
    prompt TEXT NOT NULL REFERENCES prompts(hash),
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    sample INTEGER NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    at TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, cost REAL,
    PRIMARY KEY (question, teacher, prompt, sampling, sample)
) STRICT, WITHOUT ROWID;
INSERT INTO failures VALUES('cb3a7af723878ce4aa24d6428cca8787','fox','2eed27b92483ac547dd64abd782b4118','41da311bd8b54121a2ab51c8fe549d67',0,'empty reply',3,'2026-11-30T09:21:13.220+00:00',7,1,0.25);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    method TEXT NOT NULL,
    student TEXT NOT NULL,
    dataset TEXT NOT NULL REFERENCES datasets(name),
    alpha TEXT NOT NULL, -- JSON: teacher -> weight
    seed INTEGER NOT NULL,
    settings TEXT NOT NULL, -- JSON
    lineage TEXT NOT NULL, -- JSON: which rationales
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'failed')),
    figures TEXT NOT NULL, -- JSON: losses, speeds, truncations
    folder TEXT NOT NULL,
    command TEXT NOT NULL,
    versions TEXT NOT NULL, -- JSON
    started TEXT NOT NULL,
    finished TEXT,
    error TEXT
) STRICT;
INSERT INTO runs VALUES(1,'tinyllm','google/flan-t5-small','toy','{"parrot": 1.0, "owl": 0.5}',0,'{"epochs": 1, "batch_size": 4, "lr": 0.003, "schedule": "linear", "warmup_steps": 0, "weight_decay": 0.0, "max_grad_norm": 1.0, "optimizer": "adamw_torch_fused", "gradient_checkpointing": false, "patience": 0, "lora_rank": 0, "lora_alpha": 0.0, "max_input": 256, "max_target": 64, "reading": "example", "precision": "float32", "token_budget": 0, "evals_per_epoch": 2, "seed": 0, "limit": null, "prefixes": {"parrot": "explain parrot: ", "owl": "explain owl: "}, "gates": "cbc70ba802ca6714", "fingerprint": "", "data": "8bfa56b85232209b"}','{"parrot": {"model": "scripted", "revision": "0239bdc0590f", "recipe": "v1 forced icl=2 seed=0", "sampling": "3906dde89c78d4f48888f8c70dfa29f2", "questions": 2, "rationales": 2, "empty": 0, "rejected": {"wrong-answer": 6}, "digest": "eecfaac1a7eb0941"}, "owl": {"model": "scripted", "revision": "3bfcdbfdf8dd", "recipe": "v1 forced icl=2 seed=0", "sampling": "0fc7fc49410fac719983019237a622f0", "questions": 2, "rationales": 4, "empty": 0, "rejected": {"wrong-answer": 12}, "digest": "3027c0b1c9dae6f5"}}','done','{"questions": 8, "valid_questions": 4, "tasks": {"answer": 8, "owl": 4, "parrot": 2}, "inputs_cut": 0, "targets_cut": 0, "steps": 2, "best_step": 2, "valid": [{"step": 1, "accuracy": 0.25}, {"step": 2, "accuracy": 0.25}], "curve": [{"step": 1, "answer": 6.86501, "owl": 6.04264, "parrot": 6.43827}, {"step": 2, "answer": 5.10394, "owl": 5.10546, "parrot": 5.21731}], "training_seconds": 0.072, "evaluating_seconds": 0.05, "tokens": 994, "questions_per_second": 111.853, "peak_memory": {"host": 453427200}}','/home/ann/project/tinyllm-runs/1-flan-t5-small-toy','tinyllm distill --alpha parrot=1,owl=0.5 --gates default','{"tinyllm": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu", "transformers": "5.19.0"}','2026-11-30T09:21:11.796+00:00','2026-11-30T09:21:12.129+00:00',NULL);
INSERT INTO runs VALUES(2,'tinyllm','google/flan-t5-small','toy','{"parrot": 1.0, "owl": 0.5}',7,'{"epochs": 2, "batch_size": 4, "lr": 0.003, "schedule": "linear", "warmup_steps": 0, "weight_decay": 0.0, "max_grad_norm": 1.0, "optimizer": "adamw_torch_fused", "gradient_checkpointing": false, "patience": 0, "lora_rank": 0, "lora_alpha": 0.0, "max_input": 256, "max_target": 64, "reading": "example", "precision": "float32", "token_budget": 0, "evals_per_epoch": 2, "seed": 7, "limit": null, "prefixes": {"parrot": "explain parrot: ", "owl": "explain owl: "}, "gates": "cbc70ba802ca6714", "fingerprint": "", "data": "8bfa56b85232209b"}','{"parrot": {"model": "scripted", "revision": "0239bdc0590f", "recipe": "v1 forced icl=2 seed=0", "sampling": "3906dde89c78d4f48888f8c70dfa29f2", "questions": 2, "rationales": 2, "empty": 0, "rejected": {"wrong-answer": 6}, "digest": "eecfaac1a7eb0941"}, "owl": {"model": "scripted", "revision": "3bfcdbfdf8dd", "recipe": "v1 forced icl=2 seed=0", "sampling": "0fc7fc49410fac719983019237a622f0", "questions": 2, "rationales": 4, "empty": 0, "rejected": {"wrong-answer": 12}, "digest": "3027c0b1c9dae6f5"}}','stopped','{"questions": 8, "valid_questions": 4, "tasks": {"answer": 8, "owl": 4, "parrot": 2}, "inputs_cut": 0, "targets_cut": 0, "steps": 1, "best_step": null, "valid": [], "curve": [{"step": 1, "answer": 6.81032, "owl": 6.09612}], "training_seconds": 0.028, "evaluating_seconds": 0.0, "tokens": 564, "questions_per_second": 143.012, "peak_memory": {"host": 456962048}}','/home/ann/project/tinyllm-runs/2-flan-t5-small-toy','tinyllm distill --alpha parrot=1,owl=0.5 --gates default','{"tinyllm": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu", "transformers": "5.19.0"}','2026-11-30T09:21:12.170+00:00','2026-11-30T09:21:12.218+00:00','stopped by the user');
INSERT INTO runs VALUES(3,'lora','google/flan-t5-small','toy','{}',0,'{"epochs": 1, "batch_size": 4, "lr": 0.003, "schedule": "linear", "warmup_steps": 0, "weight_decay": 0.0, "max_grad_norm": 1.0, "optimizer": "adamw_torch_fused", "gradient_checkpointing": false, "patience": 0, "lora_rank": 8, "lora_alpha": 0.0, "max_input": 256, "max_target": 64, "reading": "example", "precision": "float32", "token_budget": 0, "evals_per_epoch": 2, "seed": 0, "limit": null, "prefixes": {}, "fingerprint": "", "data": "8bfa56b85232209b"}','{}','done','{"questions": 8, "valid_questions": 4, "tasks": {"answer": 8}, "inputs_cut": 0, "targets_cut": 0, "steps": 2, "best_step": 2, "valid": [{"step": 1, "accuracy": 0.0}, {"step": 2, "accuracy": 0.0}], "curve": [{"step": 1, "answer": 6.86501}, {"step": 2, "answer": 6.19712}], "training_seconds": 0.052, "evaluating_seconds": 0.066, "tokens": 504, "questions_per_second": 154.607, "peak_memory": {"host": 458686464}}','/home/ann/project/tinyllm-runs/3-flan-t5-small-toy','tinyllm distill --alpha 0 --lora 8','{"tinyllm": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu", "transformers": "5.19.0"}','2026-11-30T09:21:12.265+00:00','2026-11-30T09:21:12.470+00:00',NULL);
INSERT INTO runs VALUES(4,'pinto','google/flan-t5-small','toy','{"parrot": 1.0}',0,'{"epochs": 1, "batch_size": 4, "lr": 0.003, "schedule": "linear", "warmup_steps": 0, "weight_decay": 0.0, "max_grad_norm": 1.0, "optimizer": "adamw_torch_fused", "gradient_checkpointing": false, "patience": 0, "lora_rank": 0, "lora_alpha": 0.0, "max_input": 256, "max_target": 64, "reading": "example", "precision": "float32", "token_budget": 0, "evals_per_epoch": 2, "seed": 0, "limit": null, "prefixes": {}, "fingerprint": "", "data": "04639972995967d7"}','{"parrot": {"model": "scripted", "revision": "0239bdc0590f", "recipe": "v1 free icl=2 seed=0", "sampling": "3906dde89c78d4f48888f8c70dfa29f2", "questions": 8, "rationales": 8, "digest": "473edfda59fd7ec4"}}','done','{"questions": 8, "valid_questions": 4, "tasks": {"answer": 8}, "inputs_cut": 0, "targets_cut": 0, "steps": 2, "best_step": 2, "valid": [{"step": 1, "accuracy": 0.0}, {"step": 2, "accuracy": 0.25}], "curve": [{"step": 1, "answer": 6.76017}, {"step": 2, "answer": 4.83749}], "training_seconds": 0.045, "evaluating_seconds": 0.049, "tokens": 744, "questions_per_second": 178.79, "peak_memory": {"host": 460947456}}','/home/ann/project/tinyllm-runs/4-flan-t5-small-toy','tinyllm distill --method pinto --fresh','{"tinyllm": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu", "transformers": "5.19.0"}','2026-11-30T09:21:12.509+00:00','2026-11-30T09:21:12.634+00:00',NULL);
INSERT INTO runs VALUES(5,'standard-kd','google/flan-t5-small','toy','{"parrot": 1.0}',0,'{"epochs": 1, "batch_size": 4, "lr": 0.003, "schedule": "linear", "warmup_steps": 0, "weight_decay": 0.0, "max_grad_norm": 1.0, "optimizer": "adamw_torch_fused", "gradient_checkpointing": false, "patience": 0, "lora_rank": 0, "lora_alpha": 0.0, "max_input": 256, "max_target": 64, "reading": "example", "precision": "float32", "token_budget": 0, "evals_per_epoch": 2, "seed": 0, "limit": null, "prefixes": {}, "fingerprint": "", "data": "5e04667e82abca14"}','{"parrot": {"model": "scripted", "revision": "0239bdc0590f", "recipe": "v1 free icl=2 seed=0", "sampling": "3906dde89c78d4f48888f8c70dfa29f2", "questions": 8, "answers": 8, "right": 2, "digest": "9429400a016041c2"}}','done','{"questions": 8, "valid_questions": 4, "tasks": {"answer": 8}, "inputs_cut": 0, "targets_cut": 0, "steps": 2, "best_step": 2, "valid": [{"step": 1, "accuracy": 0.25}, {"step": 2, "accuracy": 0.25}], "curve": [{"step": 1, "answer": 6.94336}, {"step": 2, "answer": 4.82416}], "training_seconds": 0.035, "evaluating_seconds": 0.047, "tokens": 504, "questions_per_second": 225.559, "peak_memory": {"host": 460947456}}','/home/ann/project/tinyllm-runs/5-flan-t5-small-toy','tinyllm distill --method standard-kd','{"tinyllm": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu", "transformers": "5.19.0"}','2026-11-30T09:21:12.677+00:00','2026-11-30T09:21:12.790+00:00',NULL);
CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('run', 'model', 'teacher')),
    subject TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    run INTEGER REFERENCES runs(id),
    dataset TEXT NOT NULL REFERENCES datasets(name),
    split TEXT NOT NULL,
    scoring TEXT NOT NULL CHECK (scoring IN ('rank', 'generate')),
    questions INTEGER NOT NULL,
    chance REAL NOT NULL,
    majority REAL NOT NULL,
    correct INTEGER, -- NULL until complete
    unparseable INTEGER,
    inputs_cut INTEGER,
    seconds REAL,
    created TEXT NOT NULL,
    UNIQUE (kind, subject, fingerprint, dataset, split, scoring, questions)
) STRICT;
INSERT INTO evaluations VALUES(1,'run','run 1','step 2',1,'toy','test','rank',4,0.25,0.25,1,0,0,0.046708319000117626274,'2026-11-30T09:21:12.793+00:00');
INSERT INTO evaluations VALUES(2,'run','run 1','step 2',1,'toy','test','generate',4,0.25,0.25,0,4,0,0.12011063099998864345,'2026-11-30T09:21:12.840+00:00');
INSERT INTO evaluations VALUES(3,'run','run 3','step 2',3,'toy','test','rank',4,0.25,0.25,0,0,0,0.037349944000197865534,'2026-11-30T09:21:12.961+00:00');
INSERT INTO evaluations VALUES(4,'run','run 4','step 2 reads ae680b7d65a15ece',4,'toy','test','rank',4,0.25,0.25,1,0,0,0.046213657999942370224,'2026-11-30T09:21:13.000+00:00');
INSERT INTO evaluations VALUES(5,'model','google/flan-t5-small','google/flan-t5-small inputs up to 256',NULL,'toy','test','rank',4,0.25,0.25,0,0,0,0.045406302999708714196,'2026-11-30T09:21:13.047+00:00');
INSERT INTO evaluations VALUES(6,'model','/home/ann/project/tiny','/home/ann/project/tiny inputs up to 512 34c27f298239',NULL,'toy','test','rank',2,0.25,0.5,0,0,0,0.038505462000102852471,'2026-11-30T09:21:13.094+00:00');
INSERT INTO evaluations VALUES(7,'teacher','t5','google/flan-t5-xl inputs up to 256 revision main',NULL,'toy','test','rank',4,0.25,0.25,0,0,0,0.042075379999914730433,'2026-11-30T09:21:13.133+00:00');
INSERT INTO evaluations VALUES(8,'teacher','parrot','inputs up to 256',NULL,'toy','test','rank',1,0.25,1.0,0,0,0,0.04024011099954805104,'2026-11-30T09:21:13.176+00:00');
INSERT INTO evaluations VALUES(9,'teacher','parrot','3906dde89c78d4f48888f8c70dfa29f2 v1 free icl=2 seed=0',NULL,'toy','test','generate',4,0.25,0.25,1,0,0,0.0,'2026-11-30T09:21:13.218+00:00');
CREATE TABLE predictions (
    evaluation INTEGER NOT NULL REFERENCES evaluations(id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    question TEXT NOT NULL REFERENCES questions(hash),
    option INTEGER, -- NULL: the text names no option
    correct INTEGER NOT NULL,
    scores TEXT, -- JSON array: nats per token by option
    text TEXT,
    input_cut INTEGER NOT NULL, -- the input was longer than the limit
    PRIMARY KEY (evaluation, key)
) STRICT, WITHOUT ROWID;
INSERT INTO predictions VALUES(1,'test-0','0124d921d61b842a2bdc3138608f9072',3,0,'[-4.711121559143066, -4.77190637588501, -4.76530122756958, -4.670739650726318]',NULL,0);
INSERT INTO predictions VALUES(1,'test-1','34313b0b65eda2f6298fb4d01753e525',3,0,'[-4.581390380859375, -4.6677565574646, -4.607046604156494, -4.542034149169922]',NULL,0);
INSERT INTO predictions VALUES(1,'test-2','3722a6cd4f097f4f8569bf3ccf0123a4',3,0,'[-4.457346439361572, -4.511620044708252, -4.567249298095703, -4.383836269378662]',NULL,0);
INSERT INTO predictions VALUES(1,'test-3','333497df942d7dc1a798fa6934f2cf27',3,1,'[-4.573492050170898, -4.65365743637085, -4.603525638580322, -4.510791778564453]',NULL,0);
INSERT INTO predictions VALUES(2,'test-0','0124d921d61b842a2bdc3138608f9072',NULL,0,NULL,'Q',0);
INSERT INTO predictions VALUES(2,'test-1','34313b0b65eda2f6298fb4d01753e525',NULL,0,NULL,'BBllllJBareBllllllllJhertQ1 Context�P foll��wllhertQP foll�� ContextBareher foron�her foron�her foron�hert �P �P �P �P �P',0);
INSERT INTO predictions VALUES(2,'test-2','3722a6cd4f097f4f8569bf3ccf0123a4',NULL,0,NULL,'BllJBllllJ Context�P�:� Context w theP�:Prain �Prain ��Prain ��Prain> th',0);
INSERT INTO predictions VALUES(2,'test-3','333497df942d7dc1a798fa6934f2cf27',NULL,0,NULL,'BBBllllJBllJBllJ Context�P�:',0);
INSERT INTO predictions VALUES(3,'test-0','0124d921d61b842a2bdc3138608f9072',2,0,'[-6.136234283447266, -6.008521556854248, -5.971702575683594, -6.065973281860352]',NULL,0);
INSERT INTO predictions VALUES(3,'test-1','34313b0b65eda2f6298fb4d01753e525',2,0,'[-6.153838634490967, -6.023639678955078, -5.930663108825684, -6.02861213684082]',NULL,0);
INSERT INTO predictions VALUES(3,'test-2','3722a6cd4f097f4f8569bf3ccf0123a4',1,0,'[-5.9690704345703125, -5.813384532928467, -5.893672466278076, -5.855565071105957]',NULL,0);
INSERT INTO predictions VALUES(3,'test-3','333497df942d7dc1a798fa6934f2cf27',2,0,'[-6.075859546661377, -5.9564714431762695, -5.9253435134887695, -6.002102851867676]',NULL,0);
INSERT INTO predictions VALUES(4,'test-0','0124d921d61b842a2bdc3138608f9072',2,0,'[-4.064784049987793, -4.16171932220459, -4.0382819175720215, -4.049348831176758]',NULL,0);
INSERT INTO predictions VALUES(4,'test-1','34313b0b65eda2f6298fb4d01753e525',2,0,'[-4.164570331573486, -4.209764003753662, -4.06342887878418, -4.0807719230651855]',NULL,0);
INSERT INTO predictions VALUES(4,'test-2','3722a6cd4f097f4f8569bf3ccf0123a4',3,0,'[-3.9745469093322754, -4.027575969696045, -3.9730324745178223, -3.917689800262451]',NULL,0);
INSERT INTO predictions VALUES(4,'test-3','333497df942d7dc1a798fa6934f2cf27',3,1,'[-4.050010681152344, -4.117632865905762, -3.994748830795288, -3.970198392868042]',NULL,0);
INSERT INTO predictions VALUES(5,'test-0','0124d921d61b842a2bdc3138608f9072',2,0,'[-7.060403823852539, -6.851963043212891, -6.804965019226074, -6.96246337890625]',NULL,0);
INSERT INTO predictions VALUES(5,'test-1','34313b0b65eda2f6298fb4d01753e525',2,0,'[-6.945418834686279, -6.768918037414551, -6.691647529602051, -6.812676906585693]',NULL,0);
INSERT INTO predictions VALUES(5,'test-2','3722a6cd4f097f4f8569bf3ccf0123a4',1,0,'[-6.797168731689453, -6.581782817840576, -6.6867594718933105, -6.666219711303711]',NULL,0);
INSERT INTO predictions VALUES(5,'test-3','333497df942d7dc1a798fa6934f2cf27',2,0,'[-7.004913330078125, -6.824484825134277, -6.808948516845703, -6.937182903289795]',NULL,0);
INSERT INTO predictions VALUES(6,'test-0','0124d921d61b842a2bdc3138608f9072',2,0,'[-7.0604047775268555, -6.851963520050049, -6.804965496063232, -6.962464332580566]',NULL,0);
INSERT INTO predictions VALUES(6,'test-1','34313b0b65eda2f6298fb4d01753e525',2,0,'[-6.945417404174805, -6.768917083740234, -6.691646575927734, -6.812675952911377]',NULL,0);
INSERT INTO predictions VALUES(7,'test-0','0124d921d61b842a2bdc3138608f9072',2,0,'[-7.060403823852539, -6.851963043212891, -6.804965019226074, -6.96246337890625]',NULL,0);
INSERT INTO predictions VALUES(7,'test-1','34313b0b65eda2f6298fb4d01753e525',2,0,'[-6.945418834686279, -6.768918037414551, -6.691647529602051, -6.812676906585693]',NULL,0);
INSERT INTO predictions VALUES(7,'test-2','3722a6cd4f097f4f8569bf3ccf0123a4',1,0,'[-6.797168731689453, -6.581782817840576, -6.6867594718933105, -6.666219711303711]',NULL,0);
INSERT INTO predictions VALUES(7,'test-3','333497df942d7dc1a798fa6934f2cf27',2,0,'[-7.004913330078125, -6.824484825134277, -6.808948516845703, -6.937182903289795]',NULL,0);
INSERT INTO predictions VALUES(8,'test-0','0124d921d61b842a2bdc3138608f9072',2,0,'[-7.0604047775268555, -6.851963520050049, -6.804965496063232, -6.962464332580566]',NULL,0);
INSERT INTO predictions VALUES(9,'test-0','0124d921d61b842a2bdc3138608f9072',0,1,NULL,'It follows from what the thing is for, and only this one fits the number. Answer: (a)',0);
INSERT INTO predictions VALUES(9,'test-1','34313b0b65eda2f6298fb4d01753e525',0,0,NULL,'It follows from what the thing is for, and only this one fits the number. Answer: (a)',0);
INSERT INTO predictions VALUES(9,'test-2','3722a6cd4f097f4f8569bf3ccf0123a4',0,0,NULL,'It follows from what the thing is for, and only this one fits the number. Answer: (a)',0);
INSERT INTO predictions VALUES(9,'test-3','333497df942d7dc1a798fa6934f2cf27',0,0,NULL,'It follows from what the thing is for, and only this one fits the number. Answer: (a)',0);
CREATE TABLE elicitations (
    id INTEGER PRIMARY KEY,
    teacher TEXT NOT NULL,
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    dataset TEXT NOT NULL,
    split TEXT NOT NULL,
    recipe TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'failed', 'killed')),
    replies INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cost REAL, -- NULL when unknown
    pace TEXT NOT NULL DEFAULT '[]', -- JSON: [seconds, endpoint, requests in flight from then on, why]
    started TEXT NOT NULL,
    finished TEXT,
    error TEXT
) STRICT;
INSERT INTO elicitations VALUES(1,'parrot','3906dde89c78d4f48888f8c70dfa29f2','toy','train','v1 forced icl=2 seed=0','done',8,0,8,920,136,NULL,'[]','2026-11-30T09:21:03.119+00:00','2026-11-30T09:21:03.125+00:00',NULL);
INSERT INTO elicitations VALUES(2,'owl','0fc7fc49410fac719983019237a622f0','toy','train','v1 forced icl=2 seed=0','done',16,0,16,1840,208,NULL,'[]','2026-11-30T09:21:03.638+00:00','2026-11-30T09:21:03.647+00:00',NULL);
INSERT INTO elicitations VALUES(3,'parrot','3906dde89c78d4f48888f8c70dfa29f2','toy','train','v1 forced icl=0','done',8,0,8,424,136,NULL,'[]','2026-11-30T09:21:04.141+00:00','2026-11-30T09:21:04.148+00:00',NULL);
INSERT INTO elicitations VALUES(4,'parrot','3906dde89c78d4f48888f8c70dfa29f2','toy','train','v1 free icl=2 seed=0','done',8,0,8,984,136,NULL,'[]','2026-11-30T09:21:04.664+00:00','2026-11-30T09:21:04.670+00:00',NULL);
INSERT INTO elicitations VALUES(5,'parrot','3906dde89c78d4f48888f8c70dfa29f2','toy','valid','v1 free icl=2 seed=0','done',4,0,4,492,68,NULL,'[]','2026-11-30T09:21:05.204+00:00','2026-11-30T09:21:05.221+00:00',NULL);
INSERT INTO elicitations VALUES(6,'parrot','3906dde89c78d4f48888f8c70dfa29f2','toy','test','v1 free icl=2 seed=0','done',4,0,4,492,68,NULL,'[]','2026-11-30T09:21:06.066+00:00','2026-11-30T09:21:06.070+00:00',NULL);
INSERT INTO elicitations VALUES(7,'boss','ab5ff08beb3d567aad370eb2b36bd751','toy','train','v1 forced icl=0','done',3,0,3,NULL,NULL,NULL,'[]','2026-11-30T09:21:06.699+00:00','2026-11-30T09:21:06.701+00:00',NULL);
INSERT INTO elicitations VALUES(8,'fox','41da311bd8b54121a2ab51c8fe549d67','toy','train','v1 forced icl=0','running',1,1,5,14,10,0.75,'[]','2026-11-30T09:21:13.219+00:00',NULL,NULL);
CREATE TABLE claims (
    prompt TEXT NOT NULL,
    teacher TEXT NOT NULL,
    sampling TEXT NOT NULL,
    sample INTEGER NOT NULL,
    elicitation INTEGER NOT NULL REFERENCES elicitations(id) ON DELETE CASCADE, batch INTEGER REFERENCES batches(number),
    PRIMARY KEY (prompt, teacher, sampling, sample)
) STRICT, WITHOUT ROWID;
INSERT INTO claims VALUES('2e2d1617f159fb511e4a847329ea9164','fox','41da311bd8b54121a2ab51c8fe549d67',0,8,1);
INSERT INTO claims VALUES('5131fb3e4c1e20996aac35eb865fe403','fox','41da311bd8b54121a2ab51c8fe549d67',0,8,1);
INSERT INTO claims VALUES('f4e4ca3fe032c8e022b3dced7c7e605f','fox','41da311bd8b54121a2ab51c8fe549d67',0,8,1);
CREATE TABLE batches (
    number INTEGER PRIMARY KEY,
    id TEXT, -- the endpoint's name for it, NULL until that is known
    token TEXT NOT NULL UNIQUE, -- ours, in the batch's metadata, to find it by
    elicitation INTEGER NOT NULL REFERENCES elicitations(id),
    teacher TEXT NOT NULL,
    sampling TEXT NOT NULL REFERENCES samplings(hash),
    url TEXT NOT NULL,
    state TEXT NOT NULL, -- uploading, submitting, then the endpoint's own word
    requests INTEGER NOT NULL DEFAULT 0,
    submitted TEXT NOT NULL,
    finished TEXT, -- NULL while it is open
    error TEXT
) STRICT;
INSERT INTO batches VALUES(1,'batch_abc','token-1',8,'fox','41da311bd8b54121a2ab51c8fe549d67','http://localhost/v1','in_progress',3,'2026-11-30T09:21:13.220+00:00',NULL,NULL);
CREATE TABLE IF NOT EXISTS "prompts" (
    hash TEXT PRIMARY KEY NOT NULL,
    question TEXT NOT NULL REFERENCES questions(hash),
    recipe TEXT NOT NULL, -- how the prompt was made
    teacher_forcing INTEGER NOT NULL,
    examples TEXT NOT NULL, -- JSON array of the in-context examples' question hashes
    messages TEXT NOT NULL -- JSON array of [role, content]
) STRICT;
INSERT INTO prompts VALUES('b03fb84cbb7fa3b1236d29dad60cbe63','cb3a7af723878ce4aa24d6428cca8787','v1 forced icl=2 seed=0',1,'["c3177011a87b3211c1811afb04e65406", "51f581c0712c79999c08086405045892"]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 0 of train?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nAnswer: (a) thing 0 a\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('0d3ee4c194063911c234eb77d985f95b','f9218aa3b1f17d351c5c84f137355c16','v1 forced icl=2 seed=0',1,'["51f581c0712c79999c08086405045892", "52152d37a720ba45e146acd8ddbb475e"]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 2 of train?\nOptions:\n(a) thing 2 a\n(b) thing 2 b\n(c) thing 2 c\n(d) thing 2 d\nAnswer: (c) thing 2 c\n\nQuestion: Which of these is number 1 of train?\nOptions:\n(a) thing 1 a\n(b) thing 1 b\n(c) thing 1 c\n(d) thing 1 d\nAnswer: (b) thing 1 b\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('f0dfa4562e68893523691449f58d6330','52152d37a720ba45e146acd8ddbb475e','v1 forced icl=2 seed=0',1,'["51f581c0712c79999c08086405045892", "c3177011a87b3211c1811afb04e65406"]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 2 of train?\nOptions:\n(a) thing 2 a\n(b) thing 2 b\n(c) thing 2 c\n(d) thing 2 d\nAnswer: (c) thing 2 c\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('f464f30ea67ddb6e65e4a84b703d9a74','d1d0082d37c38ee9ec90ea49145931df','v1 forced icl=2 seed=0',1,'["51f581c0712c79999c08086405045892", "cb3a7af723878ce4aa24d6428cca8787"]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 0 of train?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nAnswer: (a) thing 0 a\n\nQuestion: Which of these is number 3 of train?\nOptions:\n(a) thing 3 a\n(b) thing 3 b\n(c) thing 3 c\n(d) thing 3 d\nAnswer: (d) thing 3 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('686f33402e801e11d4e8c10117974df1','51f581c0712c79999c08086405045892','v1 forced icl=2 seed=0',1,'["c3177011a87b3211c1811afb04e65406", "cb3a7af723878ce4aa24d6428cca8787"]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 0 of train?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nAnswer: (a) thing 0 a\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('60a89f50dc493b427ce48cc8b5915491','c3177011a87b3211c1811afb04e65406','v1 forced icl=2 seed=0',1,'["51f581c0712c79999c08086405045892", "cb3a7af723878ce4aa24d6428cca8787"]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 0 of train?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nAnswer: (a) thing 0 a\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('a7743a5f134c0fe93949bf239028844a','f810329053791fbe6115d4ae10bf26ca','v1 forced icl=2 seed=0',1,'["51f581c0712c79999c08086405045892", "c3177011a87b3211c1811afb04e65406"]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 6 of train?\nOptions:\n(a) thing 6 a\n(b) thing 6 b\n(c) thing 6 c\n(d) thing 6 d\nAnswer: (c) thing 6 c\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('6925aaafe64414bc674a51a308d5aed4','cffe040456683d2a77c5fecdc78bd054','v1 forced icl=2 seed=0',1,'["c3177011a87b3211c1811afb04e65406", "cb3a7af723878ce4aa24d6428cca8787"]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 0 of train?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nAnswer: (a) thing 0 a\n\nQuestion: Which of these is number 7 of train?\nOptions:\n(a) thing 7 a\n(b) thing 7 b\n(c) thing 7 c\n(d) thing 7 d\nAnswer: (d) thing 7 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('2eed27b92483ac547dd64abd782b4118','cb3a7af723878ce4aa24d6428cca8787','v1 forced icl=0',1,'[]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 0 of train?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nAnswer: (a) thing 0 a\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('29787e736b08a21fbba9ab84619ae010','f9218aa3b1f17d351c5c84f137355c16','v1 forced icl=0',1,'[]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 1 of train?\nOptions:\n(a) thing 1 a\n(b) thing 1 b\n(c) thing 1 c\n(d) thing 1 d\nAnswer: (b) thing 1 b\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('f4e4ca3fe032c8e022b3dced7c7e605f','52152d37a720ba45e146acd8ddbb475e','v1 forced icl=0',1,'[]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 2 of train?\nOptions:\n(a) thing 2 a\n(b) thing 2 b\n(c) thing 2 c\n(d) thing 2 d\nAnswer: (c) thing 2 c\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('2e2d1617f159fb511e4a847329ea9164','d1d0082d37c38ee9ec90ea49145931df','v1 forced icl=0',1,'[]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 3 of train?\nOptions:\n(a) thing 3 a\n(b) thing 3 b\n(c) thing 3 c\n(d) thing 3 d\nAnswer: (d) thing 3 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('5131fb3e4c1e20996aac35eb865fe403','51f581c0712c79999c08086405045892','v1 forced icl=0',1,'[]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('5eee3aaf54057e2c620a558dab933f20','c3177011a87b3211c1811afb04e65406','v1 forced icl=0',1,'[]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('d2d50679e1247785f33af9c9861c1d12','f810329053791fbe6115d4ae10bf26ca','v1 forced icl=0',1,'[]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 6 of train?\nOptions:\n(a) thing 6 a\n(b) thing 6 b\n(c) thing 6 c\n(d) thing 6 d\nAnswer: (c) thing 6 c\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('9606ce490d69368e3fc21c927e8e42a8','cffe040456683d2a77c5fecdc78bd054','v1 forced icl=0',1,'[]','[["user", "Explain in one to three sentences why the given answer to the last question is right.\n\nQuestion: Which of these is number 7 of train?\nOptions:\n(a) thing 7 a\n(b) thing 7 b\n(c) thing 7 c\n(d) thing 7 d\nAnswer: (d) thing 7 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('49aef29b14000975163ee4194603ae50','cb3a7af723878ce4aa24d6428cca8787','v1 free icl=2 seed=0',0,'["c3177011a87b3211c1811afb04e65406", "51f581c0712c79999c08086405045892"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 0 of train?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('e867f0319b69ee8acfb8e32d7f2e9c71','f9218aa3b1f17d351c5c84f137355c16','v1 free icl=2 seed=0',0,'["51f581c0712c79999c08086405045892", "52152d37a720ba45e146acd8ddbb475e"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 2 of train?\nOptions:\n(a) thing 2 a\n(b) thing 2 b\n(c) thing 2 c\n(d) thing 2 d\nAnswer: (c) thing 2 c\n\nQuestion: Which of these is number 1 of train?\nOptions:\n(a) thing 1 a\n(b) thing 1 b\n(c) thing 1 c\n(d) thing 1 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('1ab1a0fd2393ee0df0b2660673a6aca5','52152d37a720ba45e146acd8ddbb475e','v1 free icl=2 seed=0',0,'["51f581c0712c79999c08086405045892", "c3177011a87b3211c1811afb04e65406"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 2 of train?\nOptions:\n(a) thing 2 a\n(b) thing 2 b\n(c) thing 2 c\n(d) thing 2 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('26bb46b3985020633746898781733ef9','d1d0082d37c38ee9ec90ea49145931df','v1 free icl=2 seed=0',0,'["51f581c0712c79999c08086405045892", "cb3a7af723878ce4aa24d6428cca8787"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 0 of train?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nAnswer: (a) thing 0 a\n\nQuestion: Which of these is number 3 of train?\nOptions:\n(a) thing 3 a\n(b) thing 3 b\n(c) thing 3 c\n(d) thing 3 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('b90c0feb2535a8792a01fa67ec6a179a','51f581c0712c79999c08086405045892','v1 free icl=2 seed=0',0,'["c3177011a87b3211c1811afb04e65406", "cb3a7af723878ce4aa24d6428cca8787"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 0 of train?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nAnswer: (a) thing 0 a\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('01567d82d62f85def20d0d85530d5bd6','c3177011a87b3211c1811afb04e65406','v1 free icl=2 seed=0',0,'["51f581c0712c79999c08086405045892", "cb3a7af723878ce4aa24d6428cca8787"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 0 of train?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nAnswer: (a) thing 0 a\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('8d4d1ae4d8bb8f0614f4fbdebc475622','f810329053791fbe6115d4ae10bf26ca','v1 free icl=2 seed=0',0,'["51f581c0712c79999c08086405045892", "c3177011a87b3211c1811afb04e65406"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 6 of train?\nOptions:\n(a) thing 6 a\n(b) thing 6 b\n(c) thing 6 c\n(d) thing 6 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('e26e1ae37e653897040576e58a19fc5f','cffe040456683d2a77c5fecdc78bd054','v1 free icl=2 seed=0',0,'["c3177011a87b3211c1811afb04e65406", "cb3a7af723878ce4aa24d6428cca8787"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 0 of train?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nAnswer: (a) thing 0 a\n\nQuestion: Which of these is number 7 of train?\nOptions:\n(a) thing 7 a\n(b) thing 7 b\n(c) thing 7 c\n(d) thing 7 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('596ef8aa80c7d8419ddf47bde7b1d798','8bc52d01a7d75344063ba214ac757821','v1 free icl=2 seed=0',0,'["c3177011a87b3211c1811afb04e65406", "cb3a7af723878ce4aa24d6428cca8787"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 0 of train?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nAnswer: (a) thing 0 a\n\nQuestion: Which of these is number 0 of valid?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('1b511b822d9509b85518c247692664e0','e7d35e983542a4cd6b65964a9eda7049','v1 free icl=2 seed=0',0,'["51f581c0712c79999c08086405045892", "c3177011a87b3211c1811afb04e65406"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 1 of valid?\nOptions:\n(a) thing 1 a\n(b) thing 1 b\n(c) thing 1 c\n(d) thing 1 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('08129ee332c0c0717ecdf86a3ba4c0fa','c474a074041a892ebf697ec81e6bd296','v1 free icl=2 seed=0',0,'["cffe040456683d2a77c5fecdc78bd054", "f810329053791fbe6115d4ae10bf26ca"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 7 of train?\nOptions:\n(a) thing 7 a\n(b) thing 7 b\n(c) thing 7 c\n(d) thing 7 d\nAnswer: (d) thing 7 d\n\nQuestion: Which of these is number 6 of train?\nOptions:\n(a) thing 6 a\n(b) thing 6 b\n(c) thing 6 c\n(d) thing 6 d\nAnswer: (c) thing 6 c\n\nQuestion: Which of these is number 2 of valid?\nOptions:\n(a) thing 2 a\n(b) thing 2 b\n(c) thing 2 c\n(d) thing 2 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('8453de2140a200fcca4c780534f61962','c737de03f06c025fbada8c618d74be28','v1 free icl=2 seed=0',0,'["51f581c0712c79999c08086405045892", "f810329053791fbe6115d4ae10bf26ca"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 6 of train?\nOptions:\n(a) thing 6 a\n(b) thing 6 b\n(c) thing 6 c\n(d) thing 6 d\nAnswer: (c) thing 6 c\n\nQuestion: Which of these is number 3 of valid?\nOptions:\n(a) thing 3 a\n(b) thing 3 b\n(c) thing 3 c\n(d) thing 3 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('51e53958f817eda2c76bd42ebc7267bf','0124d921d61b842a2bdc3138608f9072','v1 free icl=2 seed=0',0,'["c3177011a87b3211c1811afb04e65406", "51f581c0712c79999c08086405045892"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 0 of test?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('16abecd5fa52bc769a28f4f225539ba9','34313b0b65eda2f6298fb4d01753e525','v1 free icl=2 seed=0',0,'["c3177011a87b3211c1811afb04e65406", "51f581c0712c79999c08086405045892"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 1 of test?\nOptions:\n(a) thing 1 a\n(b) thing 1 b\n(c) thing 1 c\n(d) thing 1 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('03b04c514580f8cbedc932f11e630a8d','3722a6cd4f097f4f8569bf3ccf0123a4','v1 free icl=2 seed=0',0,'["cb3a7af723878ce4aa24d6428cca8787", "c3177011a87b3211c1811afb04e65406"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 0 of train?\nOptions:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d\nAnswer: (a) thing 0 a\n\nQuestion: Which of these is number 5 of train?\nOptions:\n(a) thing 5 a\n(b) thing 5 b\n(c) thing 5 c\n(d) thing 5 d\nAnswer: (b) thing 5 b\n\nQuestion: Which of these is number 2 of test?\nOptions:\n(a) thing 2 a\n(b) thing 2 b\n(c) thing 2 c\n(d) thing 2 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('91a8cabdcc5176034ee9533cea017e73','333497df942d7dc1a798fa6934f2cf27','v1 free icl=2 seed=0',0,'["51f581c0712c79999c08086405045892", "52152d37a720ba45e146acd8ddbb475e"]','[["user", "Answer the last question. Reason in one to three sentences, then end with a line of the form \"Answer: (x)\", where (x) is the letter of the right option.\n\nQuestion: Which of these is number 4 of train?\nOptions:\n(a) thing 4 a\n(b) thing 4 b\n(c) thing 4 c\n(d) thing 4 d\nAnswer: (a) thing 4 a\n\nQuestion: Which of these is number 2 of train?\nOptions:\n(a) thing 2 a\n(b) thing 2 b\n(c) thing 2 c\n(d) thing 2 d\nAnswer: (c) thing 2 c\n\nQuestion: Which of these is number 3 of test?\nOptions:\n(a) thing 3 a\n(b) thing 3 b\n(c) thing 3 c\n(d) thing 3 d\nRationale: Let''s think step by step."]]');
INSERT INTO prompts VALUES('e07bda45a982639f326e04438de39e08','cb3a7af723878ce4aa24d6428cca8787','recorded',1,'[]','[]');
INSERT INTO prompts VALUES('d653c8aeff8cab3c9b3c3b568db9494a','f9218aa3b1f17d351c5c84f137355c16','recorded',1,'[]','[]');
INSERT INTO prompts VALUES('f4859a36eeb1b242e85bb6845c29a8f2','52152d37a720ba45e146acd8ddbb475e','recorded',1,'[]','[]');
CREATE TABLE verdicts (
    rationale INTEGER NOT NULL REFERENCES rationales(id) ON DELETE CASCADE,
    gates TEXT NOT NULL REFERENCES gates(hash),
    verdict TEXT NOT NULL CHECK (verdict IN ('kept', 'repaired', 'rejected')),
    text TEXT, -- what is left to teach from, where it was repaired
    findings TEXT NOT NULL, -- JSON array of [gate, reason, repaired]
    PRIMARY KEY (rationale, gates)
) STRICT, WITHOUT ROWID;
INSERT INTO verdicts VALUES(1,'6a7bbbb3c54ae826','kept',NULL,'[]');
INSERT INTO verdicts VALUES(1,'cbc70ba802ca6714','kept',NULL,'[]');
INSERT INTO verdicts VALUES(2,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (a), and it is (b)", false]]');
INSERT INTO verdicts VALUES(2,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (a), and it is (b)", false]]');
INSERT INTO verdicts VALUES(3,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (a), and it is (c)", false]]');
INSERT INTO verdicts VALUES(3,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (a), and it is (c)", false]]');
INSERT INTO verdicts VALUES(4,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (a), and it is (d)", false]]');
INSERT INTO verdicts VALUES(4,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (a), and it is (d)", false]]');
INSERT INTO verdicts VALUES(5,'6a7bbbb3c54ae826','kept',NULL,'[]');
INSERT INTO verdicts VALUES(5,'cbc70ba802ca6714','kept',NULL,'[]');
INSERT INTO verdicts VALUES(6,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (a), and it is (b)", false]]');
INSERT INTO verdicts VALUES(6,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (a), and it is (b)", false]]');
INSERT INTO verdicts VALUES(7,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (a), and it is (c)", false]]');
INSERT INTO verdicts VALUES(7,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (a), and it is (c)", false]]');
INSERT INTO verdicts VALUES(8,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (a), and it is (d)", false]]');
INSERT INTO verdicts VALUES(8,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (a), and it is (d)", false]]');
INSERT INTO verdicts VALUES(9,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (a)", false]]');
INSERT INTO verdicts VALUES(9,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (a)", false]]');
INSERT INTO verdicts VALUES(10,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (a)", false]]');
INSERT INTO verdicts VALUES(10,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (a)", false]]');
INSERT INTO verdicts VALUES(11,'6a7bbbb3c54ae826','kept',NULL,'[]');
INSERT INTO verdicts VALUES(11,'cbc70ba802ca6714','kept',NULL,'[]');
INSERT INTO verdicts VALUES(12,'6a7bbbb3c54ae826','kept',NULL,'[]');
INSERT INTO verdicts VALUES(12,'cbc70ba802ca6714','kept',NULL,'[]');
INSERT INTO verdicts VALUES(13,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (c)", false]]');
INSERT INTO verdicts VALUES(13,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (c)", false]]');
INSERT INTO verdicts VALUES(14,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (c)", false]]');
INSERT INTO verdicts VALUES(14,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (c)", false]]');
INSERT INTO verdicts VALUES(15,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (d)", false]]');
INSERT INTO verdicts VALUES(15,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (d)", false]]');
INSERT INTO verdicts VALUES(16,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (d)", false]]');
INSERT INTO verdicts VALUES(16,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (d)", false]]');
INSERT INTO verdicts VALUES(17,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (a)", false]]');
INSERT INTO verdicts VALUES(17,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (a)", false]]');
INSERT INTO verdicts VALUES(18,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (a)", false]]');
INSERT INTO verdicts VALUES(18,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (a)", false]]');
INSERT INTO verdicts VALUES(19,'6a7bbbb3c54ae826','kept',NULL,'[]');
INSERT INTO verdicts VALUES(19,'cbc70ba802ca6714','kept',NULL,'[]');
INSERT INTO verdicts VALUES(20,'6a7bbbb3c54ae826','kept',NULL,'[]');
INSERT INTO verdicts VALUES(20,'cbc70ba802ca6714','kept',NULL,'[]');
INSERT INTO verdicts VALUES(21,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (c)", false]]');
INSERT INTO verdicts VALUES(21,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (c)", false]]');
INSERT INTO verdicts VALUES(22,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (c)", false]]');
INSERT INTO verdicts VALUES(22,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (c)", false]]');
INSERT INTO verdicts VALUES(23,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (d)", false]]');
INSERT INTO verdicts VALUES(23,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (d)", false]]');
INSERT INTO verdicts VALUES(24,'6a7bbbb3c54ae826','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (d)", false]]');
INSERT INTO verdicts VALUES(24,'cbc70ba802ca6714','rejected',NULL,'[["wrong-answer", "says the answer is (b), and it is (d)", false]]');
INSERT INTO verdicts VALUES(49,'6a7bbbb3c54ae826','rejected',NULL,'[["too-short", "has 4 words", false]]');
INSERT INTO verdicts VALUES(50,'6a7bbbb3c54ae826','rejected',NULL,'[["too-short", "has 4 words", false]]');
INSERT INTO verdicts VALUES(51,'6a7bbbb3c54ae826','rejected',NULL,'[["too-short", "has 4 words", false]]');
CREATE TABLE gates (
    hash TEXT PRIMARY KEY NOT NULL,
    settings TEXT NOT NULL, -- JSON
    created TEXT NOT NULL
) STRICT;
INSERT INTO gates VALUES('6a7bbbb3c54ae826','{"off": [], "min_words": 5, "cut_off": "trim", "new_words": 1, "max_tokens": 256}','2026-11-30T09:21:07.272+00:00');
INSERT INTO gates VALUES('cbc70ba802ca6714','{"off": [], "min_words": 5, "cut_off": "trim", "new_words": 1, "max_tokens": 64}','2026-11-30T09:21:12.167+00:00');
CREATE TABLE usefulness (
    rationale INTEGER NOT NULL REFERENCES rationales(id) ON DELETE CASCADE,
    text TEXT NOT NULL, -- hash of the text that was scored: raw or as the gates left it, with the answer masked or not
    model TEXT NOT NULL, -- its name and fingerprint
    gain REAL NOT NULL, -- log-probability (nats) of the gold option: with the rationale, minus without
    created TEXT NOT NULL, input_cut INTEGER,
    PRIMARY KEY (rationale, text, model)
) STRICT, WITHOUT ROWID;
INSERT INTO usefulness VALUES(1,'f0c30e0fc23be1b9','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(1,'f0c30e0fc23be1b9','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(2,'0239bdc0590f93c2','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(2,'0239bdc0590f93c2','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(3,'0239bdc0590f93c2','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(3,'0239bdc0590f93c2','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(4,'0239bdc0590f93c2','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(4,'0239bdc0590f93c2','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(5,'f0c30e0fc23be1b9','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',1);
INSERT INTO usefulness VALUES(5,'f0c30e0fc23be1b9','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',1);
INSERT INTO usefulness VALUES(6,'0239bdc0590f93c2','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(6,'0239bdc0590f93c2','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(7,'0239bdc0590f93c2','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(7,'0239bdc0590f93c2','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(8,'0239bdc0590f93c2','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(8,'0239bdc0590f93c2','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(9,'3bfcdbfdf8dd8683','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(9,'3bfcdbfdf8dd8683','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(10,'3bfcdbfdf8dd8683','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',1);
INSERT INTO usefulness VALUES(10,'3bfcdbfdf8dd8683','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',1);
INSERT INTO usefulness VALUES(11,'fcbc16c3376aef0a','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(11,'fcbc16c3376aef0a','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(12,'fcbc16c3376aef0a','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(12,'fcbc16c3376aef0a','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(13,'3bfcdbfdf8dd8683','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(13,'3bfcdbfdf8dd8683','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(14,'3bfcdbfdf8dd8683','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(14,'3bfcdbfdf8dd8683','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(15,'3bfcdbfdf8dd8683','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',1);
INSERT INTO usefulness VALUES(15,'3bfcdbfdf8dd8683','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',1);
INSERT INTO usefulness VALUES(16,'3bfcdbfdf8dd8683','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(16,'3bfcdbfdf8dd8683','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(17,'3bfcdbfdf8dd8683','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(17,'3bfcdbfdf8dd8683','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(18,'3bfcdbfdf8dd8683','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(18,'3bfcdbfdf8dd8683','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(19,'fcbc16c3376aef0a','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(19,'fcbc16c3376aef0a','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(20,'fcbc16c3376aef0a','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',1);
INSERT INTO usefulness VALUES(20,'fcbc16c3376aef0a','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',1);
INSERT INTO usefulness VALUES(21,'3bfcdbfdf8dd8683','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(21,'3bfcdbfdf8dd8683','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(22,'3bfcdbfdf8dd8683','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(22,'3bfcdbfdf8dd8683','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(23,'3bfcdbfdf8dd8683','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(23,'3bfcdbfdf8dd8683','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(24,'3bfcdbfdf8dd8683','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(24,'3bfcdbfdf8dd8683','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(25,'f0c30e0fc23be1b9','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',1);
INSERT INTO usefulness VALUES(25,'f0c30e0fc23be1b9','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',1);
INSERT INTO usefulness VALUES(26,'0239bdc0590f93c2','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(26,'0239bdc0590f93c2','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(27,'0239bdc0590f93c2','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(27,'0239bdc0590f93c2','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(28,'0239bdc0590f93c2','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(28,'0239bdc0590f93c2','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(29,'f0c30e0fc23be1b9','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(29,'f0c30e0fc23be1b9','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(30,'0239bdc0590f93c2','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',1);
INSERT INTO usefulness VALUES(30,'0239bdc0590f93c2','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',1);
INSERT INTO usefulness VALUES(31,'0239bdc0590f93c2','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(31,'0239bdc0590f93c2','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(32,'0239bdc0590f93c2','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(32,'0239bdc0590f93c2','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(33,'f0c30e0fc23be1b9','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(33,'f0c30e0fc23be1b9','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(34,'0239bdc0590f93c2','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(34,'0239bdc0590f93c2','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(35,'0239bdc0590f93c2','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',1);
INSERT INTO usefulness VALUES(35,'0239bdc0590f93c2','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',1);
INSERT INTO usefulness VALUES(36,'0239bdc0590f93c2','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(36,'0239bdc0590f93c2','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(37,'f0c30e0fc23be1b9','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(37,'f0c30e0fc23be1b9','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(38,'0239bdc0590f93c2','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(38,'0239bdc0590f93c2','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(39,'0239bdc0590f93c2','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(39,'0239bdc0590f93c2','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(40,'0239bdc0590f93c2','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',1);
INSERT INTO usefulness VALUES(40,'0239bdc0590f93c2','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',1);
INSERT INTO usefulness VALUES(49,'21f5b35228137d92','google/flan-t5-small',0.0,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(49,'21f5b35228137d92','tiny 0123456789ab',0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
INSERT INTO usefulness VALUES(50,'2c267b6b651b076e','google/flan-t5-small',0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',1);
INSERT INTO usefulness VALUES(50,'2c267b6b651b076e','tiny 0123456789ab',0.3000000000000000444,'2026-11-30T09:21:11.741+00:00',1);
INSERT INTO usefulness VALUES(51,'18a084cbfb032eb2','google/flan-t5-small',-0.10000000000000000555,'2026-11-30T09:21:11.738+00:00',0);
INSERT INTO usefulness VALUES(51,'18a084cbfb032eb2','tiny 0123456789ab',-0.10000000000000000555,'2026-11-30T09:21:11.741+00:00',0);
CREATE TABLE experiments (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL, -- table1, ablation, train-size, alpha, seeds
    plan TEXT NOT NULL UNIQUE, -- JSON: what makes two plans the same one
    command TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;
INSERT INTO experiments VALUES(1,'table1','{"cells": [{"distill": null, "edition": "1a3e2b2878c8b286", "evaluate": ["--model", "google/flan-t5-small", "--dataset", "toy", "--max-input", "256", "--split", "test", "--scoring", "rank"], "identity": "31369002566b85154ec64d7ea9ad0a1e", "label": {"dataset": "toy", "method": "inference", "student": "google/flan-t5-small"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "0", "--seed", "0", "--method", "lora", "--lora", "8", "--gates", "none", "--max-input", "256"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "64be5f2b56c0fc3a80046f168e185018", "label": {"dataset": "toy", "method": "lora", "seed": 0, "student": "google/flan-t5-small"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "0", "--seed", "1", "--method", "lora", "--lora", "8", "--gates", "none", "--max-input", "256"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "c5ed56b12b07657bfbbebad7b53dedbe", "label": {"dataset": "toy", "method": "lora", "seed": 1, "student": "google/flan-t5-small"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "parrot=1", "--seed", "0", "--method", "standard-kd", "--lora", "8", "--gates", "none", "--max-input", "256"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "0d072c9d8071f9ef9ce98909ca8eb448", "label": {"dataset": "toy", "method": "standard-kd", "seed": 0, "student": "google/flan-t5-small"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "parrot=1", "--seed", "1", "--method", "standard-kd", "--lora", "8", "--gates", "none", "--max-input", "256"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "ea43e420a84c6b5050ecb48e526a1534", "label": {"dataset": "toy", "method": "standard-kd", "seed": 1, "student": "google/flan-t5-small"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "parrot=1", "--seed", "0", "--lora", "8", "--gates", "none", "--max-input", "256"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "da4b24c4979f8374fbc0d30367fa73d0", "label": {"dataset": "toy", "method": "distill-step-by-step", "seed": 0, "student": "google/flan-t5-small", "teacher": "parrot"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "parrot=1", "--seed", "1", "--lora", "8", "--gates", "none", "--max-input", "256"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "1f534bea0755353c5749b65047ee161e", "label": {"dataset": "toy", "method": "distill-step-by-step", "seed": 1, "student": "google/flan-t5-small", "teacher": "parrot"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "owl=0.5", "--seed", "0", "--lora", "8", "--gates", "none", "--max-input", "256"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "a2f02878c510d0a94ea2f7d2bd8187f3", "label": {"dataset": "toy", "method": "distill-step-by-step", "seed": 0, "student": "google/flan-t5-small", "teacher": "owl"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "owl=0.5", "--seed", "1", "--lora", "8", "--gates", "none", "--max-input", "256"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "6fe1e6741e54d6161bff0236bf1c99a6", "label": {"dataset": "toy", "method": "distill-step-by-step", "seed": 1, "student": "google/flan-t5-small", "teacher": "owl"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "parrot=1", "--seed", "0", "--method", "pinto", "--lora", "8", "--gates", "none", "--max-input", "256"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "a4d8becdc4a2abf89b8b0e9ee32f8cea", "label": {"dataset": "toy", "method": "pinto", "seed": 0, "student": "google/flan-t5-small"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "parrot=1", "--seed", "1", "--method", "pinto", "--lora", "8", "--gates", "none", "--max-input", "256"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "6dffc2474c5ed08134f4aeca20310a8c", "label": {"dataset": "toy", "method": "pinto", "seed": 1, "student": "google/flan-t5-small"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "parrot=1,owl=0.5", "--seed", "0", "--lora", "8", "--gates", "none", "--max-input", "256"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "ed081cc31ddf75707095d292a1a2f0b1", "label": {"dataset": "toy", "method": "tinyllm", "seed": 0, "student": "google/flan-t5-small"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "parrot=1,owl=0.5", "--seed", "1", "--lora", "8", "--gates", "none", "--max-input", "256"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "c7baae0eae0b942e9138a3bf00c82b47", "label": {"dataset": "toy", "method": "tinyllm", "seed": 1, "student": "google/flan-t5-small"}}, {"distill": null, "edition": "1a3e2b2878c8b286", "evaluate": ["--teacher", "parrot", "--dataset", "toy", "--split", "test", "--scoring", "generate"], "identity": "f04acc9280bdf2d58222ab5dc78737b7", "label": {"dataset": "toy", "method": "teacher", "teacher": "parrot"}}], "name": "table1"}','tinyllm experiment table1 --lora 8 --gates none --fresh','2026-11-30T09:21:13.224+00:00');
INSERT INTO experiments VALUES(2,'table1','{"cells": [{"distill": null, "edition": "1a3e2b2878c8b286", "evaluate": ["--model", "google/flan-t5-small", "--dataset", "toy", "--split", "test", "--scoring", "rank"], "identity": "856c6d2b8c8193a586fb6c158a6eee47", "label": {"dataset": "toy", "method": "inference", "student": "google/flan-t5-small"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "0", "--seed", "0"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "408fa69c28252275f812df0ac000d3b8", "label": {"dataset": "toy", "method": "finetune", "seed": 0, "student": "google/flan-t5-small"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "0", "--seed", "0", "--method", "lora"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "055a00bb2c26431df61dcdaffd099c35", "label": {"dataset": "toy", "method": "lora", "seed": 0, "student": "google/flan-t5-small"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "parrot=1", "--seed", "0", "--method", "standard-kd"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "57ff05fa5f420a248d35e0704ae7bcf6", "label": {"dataset": "toy", "method": "standard-kd", "seed": 0, "student": "google/flan-t5-small"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "parrot=1", "--seed", "0"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "79c6550a2e561892217b89e02e3ea542", "label": {"dataset": "toy", "method": "distill-step-by-step", "seed": 0, "student": "google/flan-t5-small", "teacher": "parrot"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "owl=0.5", "--seed", "0"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "32c50a7c2443e2e8262a1b264c721a1c", "label": {"dataset": "toy", "method": "distill-step-by-step", "seed": 0, "student": "google/flan-t5-small", "teacher": "owl"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "parrot=1", "--seed", "0", "--method", "pinto"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "4877eebab2291e5d70a2b5f5cba8d9ed", "label": {"dataset": "toy", "method": "pinto", "seed": 0, "student": "google/flan-t5-small"}}, {"distill": ["--dataset", "toy", "--student", "google/flan-t5-small", "--alpha", "parrot=1,owl=0.5", "--seed", "0"], "edition": "1a3e2b2878c8b286", "evaluate": ["--split", "test", "--scoring", "rank"], "identity": "f91e06995e9680cbc57ec12c788678b3", "label": {"dataset": "toy", "method": "tinyllm", "seed": 0, "student": "google/flan-t5-small"}}, {"distill": null, "edition": "1a3e2b2878c8b286", "evaluate": ["--teacher", "parrot", "--dataset", "toy", "--split", "test", "--scoring", "generate"], "identity": "f04acc9280bdf2d58222ab5dc78737b7", "label": {"dataset": "toy", "method": "teacher", "teacher": "parrot"}}], "name": "table1"}','tinyllm experiment table1','2026-11-30T09:21:13.225+00:00');
INSERT INTO experiments VALUES(3,'alpha-search','{"dataset": "toy", "name": "alpha-search", "student": "google/flan-t5-small"}','tinyllm experiment alpha --search 2','2026-11-30T09:21:13.225+00:00');
CREATE TABLE cells (
    experiment INTEGER NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    label TEXT NOT NULL, -- JSON: what tells this cell from the others, such as {"method": "tinyllm", "seed": 0}
    run INTEGER REFERENCES runs(id), -- NULL until it is trained; inference has none
    evaluation INTEGER REFERENCES evaluations(id),
    state TEXT NOT NULL CHECK (state IN ('planned', 'running', 'done', 'pruned', 'failed')),
    seconds REAL,
    error TEXT,
    PRIMARY KEY (experiment, position)
) STRICT, WITHOUT ROWID;
INSERT INTO cells VALUES(1,0,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "inference"}',3,3,'done',12.5,NULL);
INSERT INTO cells VALUES(1,1,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "lora", "seed": 0}',1,1,'done',2.5,NULL);
INSERT INTO cells VALUES(1,2,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "lora", "seed": 1}',NULL,NULL,'failed',NULL,'killed');
INSERT INTO cells VALUES(1,3,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "standard-kd", "seed": 0}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(1,4,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "standard-kd", "seed": 1}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(1,5,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "distill-step-by-step", "teacher": "parrot", "seed": 0}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(1,6,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "distill-step-by-step", "teacher": "parrot", "seed": 1}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(1,7,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "distill-step-by-step", "teacher": "owl", "seed": 0}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(1,8,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "distill-step-by-step", "teacher": "owl", "seed": 1}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(1,9,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "pinto", "seed": 0}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(1,10,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "pinto", "seed": 1}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(1,11,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "tinyllm", "seed": 0}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(1,12,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "tinyllm", "seed": 1}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(1,13,'{"dataset": "toy", "method": "teacher", "teacher": "parrot"}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(2,0,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "inference"}',1,5,'done',1.0,NULL);
INSERT INTO cells VALUES(2,1,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "finetune", "seed": 0}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(2,2,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "lora", "seed": 0}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(2,3,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "standard-kd", "seed": 0}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(2,4,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "distill-step-by-step", "teacher": "parrot", "seed": 0}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(2,5,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "distill-step-by-step", "teacher": "owl", "seed": 0}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(2,6,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "pinto", "seed": 0}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(2,7,'{"dataset": "toy", "student": "google/flan-t5-small", "method": "tinyllm", "seed": 0}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(2,8,'{"dataset": "toy", "method": "teacher", "teacher": "parrot"}',NULL,NULL,'planned',NULL,NULL);
INSERT INTO cells VALUES(3,0,'{"dataset": "toy", "trial": 0, "alpha of parrot": 0.5}',1,NULL,'pruned',3.0,NULL);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX dataset_questions_by_question ON dataset_questions(question);
CREATE INDEX dataset_questions_by_hash ON dataset_questions(dataset, split, question);
CREATE INDEX claims_by_elicitation ON claims(elicitation);
CREATE INDEX batches_open ON batches(teacher) WHERE finished IS NULL;
CREATE INDEX batches_by_elicitation ON batches(elicitation);
CREATE INDEX claims_by_batch ON claims(batch) WHERE batch IS NOT NULL;
COMMIT;
